// The secret with which docker logs in for somebody who has no password here: one, made anew at will.
import type { Management, Manager } from '#access/management/management.ts'
import { unknown } from '#access/management/management.ts'
import { newSecret } from '#access/secrets.ts'
import { deleteApiKey, insertApiKey } from '#db/api-keys.ts'

/** It is an API key of this name. */
export const CLI_SECRET = 'cli'

/** Takes the place of the one before. */
export async function rotateCliSecret(
  { db, now }: Management,
  { userId }: Manager,
): Promise<{ readonly secret: string }> {
  const { text, hash } = newSecret('key')
  const key = { userId, name: CLI_SECRET, secretHash: hash, permissions: null, expiresAt: null, now: now() }
  await db.transaction(async (tx) => {
    await deleteApiKey(tx, userId, CLI_SECRET)
    await insertApiKey(tx, key)
  })
  return { secret: text }
}

export async function removeCliSecret({ db }: Management, { userId }: Manager): Promise<void> {
  if (!(await db.transaction((tx) => deleteApiKey(tx, userId, CLI_SECRET)))) throw unknown('your secret')
}
