// What the command line gets from a login by a device: an API key of its own, that ends.
import { randomBytes } from 'node:crypto'
import { newSecret } from '#access/secrets.ts'
import { apiKeysOf, deleteApiKey, insertApiKey } from '#db/api-keys.ts'
import type { Db } from '#db/db.ts'
import { findUser } from '#db/users.ts'

const PREFIX = 'login-'
export const LOGIN_KEY_LIFE_MS = 90 * 24 * 3_600_000
/** Of one user; the oldest ends when there would be more. */
export const LOGIN_KEYS_MAX = 10

export interface LoginKey {
  readonly name: string
  readonly secret: string
  readonly expiresAt: number
}

/** Undefined when the user is gone by now. */
export async function makeLoginKey(db: Db, user: string, now: number): Promise<LoginKey | undefined> {
  const { text, hash } = newSecret('key')
  const day = new Date(now).toISOString().slice(0, 10)
  const name = `${PREFIX}${day}-${randomBytes(4).toString('hex')}`
  const expiresAt = now + LOGIN_KEY_LIFE_MS
  const isMade = await db.transaction(async (tx) => {
    const found = await findUser(tx, user)
    if (!found) return false
    const before = (await apiKeysOf(tx, found.id))
      .filter((key) => key.name.startsWith(PREFIX))
      .sort((a, b) => b.createdAt - a.createdAt)
    for (const old of before.slice(LOGIN_KEYS_MAX - 1)) await deleteApiKey(tx, found.id, old.name)
    return insertApiKey(tx, { userId: found.id, name, secretHash: hash, permissions: null, expiresAt, now })
  })
  return isMade ? { name: user, secret: text, expiresAt } : undefined
}
