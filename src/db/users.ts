// Users and the groups that they are in.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { deleteRefreshTokens } from '#db/refresh-tokens.ts'
import { disableRobotsOf } from '#db/robots.ts'
import { dropUsageOfUser } from '#db/usage.ts'
import type { SystemRole } from '#identity/role.ts'

export interface UserRecord {
  readonly id: number
  readonly name: string
  readonly email: string | null
  readonly displayName: string | null
  readonly passwordHash: string | null
  /** Given here. */
  readonly systemRole: SystemRole | null
  /** Given by the groups of a provider. */
  readonly externalRole: SystemRole | null
  readonly disabledAt: number | null
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

export interface UserChanges {
  readonly email?: string | null
  readonly displayName?: string | null
  readonly passwordHash?: string | null
  readonly systemRole?: SystemRole | null
  readonly disabledAt?: number | null
}

const COLUMNS = [
  'id',
  'name',
  'email',
  'display_name as displayName',
  'password_hash as passwordHash',
  'system_role as systemRole',
  'external_role as externalRole',
  'disabled_at as disabledAt',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'version',
] as const

const byName = hot<{ name: string }>()((db, p) =>
  db.selectFrom('users').select(COLUMNS).where('name', '=', p.name),
)

const byId = hot<{ id: number }>()((db, p) => db.selectFrom('users').select(COLUMNS).where('id', '=', p.id))

export function findUser(db: Executor, name: string): Promise<UserRecord | undefined> {
  return db.first(byName, { name })
}

/** Whether there is any: without one the first start makes an admin. */
export async function hasUsers(db: Executor): Promise<boolean> {
  return (await db.kysely.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** False when the name is taken. */
export async function insertUser(
  tx: Transaction,
  { name, now, ...changes }: UserChanges & { name: string; now: number },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('users')
    .values({
      name,
      email: changes.email ?? null,
      display_name: changes.displayName ?? null,
      password_hash: changes.passwordHash ?? null,
      system_role: changes.systemRole ?? null,
      disabled_at: changes.disabledAt ?? null,
      created_at: now,
      updated_at: now,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when the user is gone, or has another version than the one that is expected. */
export async function updateUser(
  tx: Transaction,
  name: string,
  { email, displayName, passwordHash, systemRole, disabledAt }: UserChanges,
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('users')
    .set((set) => ({
      ...(email !== undefined && { email }),
      ...(displayName !== undefined && { display_name: displayName }),
      ...(passwordHash !== undefined && { password_hash: passwordHash }),
      ...(systemRole !== undefined && { system_role: systemRole }),
      ...(disabledAt !== undefined && { disabled_at: disabledAt }),
      updated_at: now,
      version: set('version', '+', 1),
    }))
    .where('name', '=', name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Only where the hash is still the one that the password was checked against. */
export async function replacePasswordHash(
  tx: Transaction,
  id: number,
  { from, to }: { from: string; to: string },
): Promise<void> {
  await tx.kysely
    .updateTable('users')
    .set({ password_hash: to })
    .where('id', '=', id)
    .where('password_hash', '=', from)
    .execute()
}

export async function setExternalRole(tx: Transaction, id: number, role: SystemRole | null): Promise<void> {
  await tx.kysely.updateTable('users').set({ external_role: role }).where('id', '=', id).execute()
}

export function findUserById(db: Executor, id: number): Promise<UserRecord | undefined> {
  return db.first(byId, { id })
}

/**
 * His memberships, keys and refresh tokens go with him, what he brought counts for nobody, and robots that he answered for stop.
 */
export async function deleteUser(tx: Transaction, name: string, now: number): Promise<boolean> {
  const user = await findUser(tx, name)
  if (user) {
    await dropUsageOfUser(tx, user.id)
    await disableRobotsOf(tx, user.id, now)
  }
  const { numDeletedRows } = await tx.kysely.deleteFrom('users').where('name', '=', name).executeTakeFirst()
  await deleteRefreshTokens(tx, name)
  return numDeletedRows > 0n
}

/** By name, after `last` exclusively. */
export function userPage(db: Executor, last: string, limit: number): Promise<UserRecord[]> {
  return db.kysely
    .selectFrom('users')
    .select(COLUMNS)
    .where('name', '>', last)
    .orderBy('name')
    .limit(limit)
    .execute()
}

/** Whether an admin would be left who can still come in. */
export async function countEnabledAdmins(db: Executor): Promise<number> {
  const row = await db.kysely
    .selectFrom('users')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('system_role', '=', 'admin')
    .where('disabled_at', 'is', null)
    .executeTakeFirst()
  return Number(row?.count ?? 0)
}
