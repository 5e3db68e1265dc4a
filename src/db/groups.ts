// Groups of users.
import type { Executor, Transaction } from '#db/db.ts'

export interface GroupRecord {
  readonly id: number
  readonly name: string
  readonly createdAt: number
}

/** False when the name is taken. */
export async function insertGroup(tx: Transaction, name: string, now: number): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('groups')
    .values({ name, created_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

export function findGroup(db: Executor, name: string): Promise<GroupRecord | undefined> {
  return db.kysely
    .selectFrom('groups')
    .select(['id', 'name', 'created_at as createdAt'])
    .where('name', '=', name)
    .executeTakeFirst()
}

export async function deleteGroup(tx: Transaction, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely.deleteFrom('groups').where('name', '=', name).executeTakeFirst()
  return numDeletedRows > 0n
}

/** By name, after `last` exclusively. */
export function groupPage(db: Executor, last: string, limit: number): Promise<GroupRecord[]> {
  return db.kysely
    .selectFrom('groups')
    .select(['id', 'name', 'created_at as createdAt'])
    .where('name', '>', last)
    .orderBy('name')
    .limit(limit)
    .execute()
}

/** For good: an account elsewhere that brought the membership does not take it away any more. */
export async function addToGroup(tx: Transaction, groupId: number, userId: number): Promise<void> {
  await tx.kysely
    .insertInto('group_members')
    .values({ group_id: groupId, user_id: userId, identity_id: null })
    .onConflict((conflict) => conflict.columns(['user_id', 'group_id']).doUpdateSet({ identity_id: null }))
    .execute()
}

export async function removeFromGroup(tx: Transaction, groupId: number, userId: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('group_members')
    .where('group_id', '=', groupId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Names of its members in order, after `last` exclusively. */
export async function groupMemberPage(
  db: Executor,
  groupId: number,
  last: string,
  limit: number,
): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('group_members')
    .innerJoin('users', 'users.id', 'group_members.user_id')
    .select('users.name')
    .where('group_id', '=', groupId)
    .where('users.name', '>', last)
    .orderBy('users.name')
    .limit(limit)
    .execute()
  return rows.map(({ name }) => name)
}
