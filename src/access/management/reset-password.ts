// The rescue of an admin who lost his password: by whoever may write the folder of the registry.
import { recordOwnChange } from '#access/audit/own-entries.ts'
import { endLogins } from '#access/management/end-logins.ts'
import { hashPassword, passwordFault } from '#access/passwords/passwords.ts'
import type { Db } from '#db/db.ts'
import { updateUser } from '#db/users.ts'

/**
 * Also lets a disabled user in again.
 * @throws Error with a sentence for the operator
 */
export async function resetPassword(db: Db, name: string, password: string, now: number): Promise<void> {
  const fault = passwordFault(password)
  if (fault !== undefined) throw new Error(`the password ${fault}`)
  const passwordHash = await hashPassword(password)
  const isThere = await db.transaction(async (tx) => {
    await endLogins(tx, name)
    if (!(await updateUser(tx, name, { passwordHash, disabledAt: null }, { now }))) return false
    const change = { action: 'users.password.set', target: name, by: 'the command line, without a server' }
    await recordOwnChange(tx, { ...change, at: now })
    return true
  })
  if (!isThere) throw new Error(`there is no user ${name} in this registry`)
}
