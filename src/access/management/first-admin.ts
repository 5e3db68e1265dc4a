// The first account: without it nobody could make another.
import { recordOwnChange } from '#access/audit/own-entries.ts'
import { hashPassword, passwordFault, randomPassword } from '#access/passwords/passwords.ts'
import type { Db } from '#db/db.ts'
import { hasUsers, insertUser } from '#db/users.ts'

export const FIRST_ADMIN = 'admin'

/**
 * Makes the user `admin` where there is no user yet. Resolves to a password that was made up, to be shown once and kept
 * nowhere; undefined when there was one given, or nothing to do.
 * @throws Error with a sentence for the operator when the password that was given is too weak
 */
export async function makeFirstAdmin(
  db: Db,
  { password: given, now }: { password: string | undefined; now: () => number },
): Promise<string | undefined> {
  if (await hasUsers(db)) return undefined
  const fault = given === undefined ? undefined : passwordFault(given)
  if (fault !== undefined) throw new Error(`the password of the first admin ${fault}: choose another one`)
  const password = given ?? randomPassword()
  const passwordHash = await hashPassword(password)
  const at = now()
  const user = { name: FIRST_ADMIN, systemRole: 'admin', passwordHash, now: at } as const
  const made = await db.transaction(async (tx) => {
    if (!(await insertUser(tx, user))) return false
    await recordOwnChange(tx, { at, action: 'users.created', target: FIRST_ADMIN, by: 'the first start' })
    return true
  })
  return made && given === undefined ? password : undefined
}
