// Accounts elsewhere that speak for users here, and the groups that they bring along.
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface ExternalIdentityRecord {
  readonly id: number
  readonly userId: number
  readonly userName: string
  readonly issuer: string
  readonly subject: string
  readonly sealedGrant: string | null
  readonly createdAt: number
  readonly confirmedAt: number
  readonly askedAt: number | null
  readonly endedAt: number | null
}

const COLUMNS = [
  'external_identities.id',
  'user_id as userId',
  'users.name as userName',
  'issuer',
  'subject',
  'sealed_grant as sealedGrant',
  'external_identities.created_at as createdAt',
  'confirmed_at as confirmedAt',
  'asked_at as askedAt',
  'ended_at as endedAt',
] as const

const ofUser = hot<{ userId: number }>()((db, p) =>
  db
    .selectFrom('external_identities')
    .innerJoin('users', 'users.id', 'external_identities.user_id')
    .select(COLUMNS)
    .where('user_id', '=', p.userId)
    .orderBy('external_identities.id'),
)

/** Of a user, the oldest first. */
export function externalIdentitiesOf(db: Executor, userId: number): Promise<ExternalIdentityRecord[]> {
  return db.all(ofUser, { userId })
}

export function findExternalIdentity(
  db: Executor,
  issuer: string,
  subject: string,
): Promise<ExternalIdentityRecord | undefined> {
  return db.kysely
    .selectFrom('external_identities')
    .innerJoin('users', 'users.id', 'external_identities.user_id')
    .select(COLUMNS)
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirst()
}

/** False when the account speaks for somebody already. */
export async function insertExternalIdentity(
  tx: Transaction,
  identity: { userId: number; issuer: string; subject: string; now: number },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('external_identities')
    .values({
      user_id: identity.userId,
      issuer: identity.issuer,
      subject: identity.subject,
      sealed_grant: null,
      created_at: identity.now,
      confirmed_at: identity.now,
      asked_at: null,
      ended_at: null,
    })
    .onConflict((conflict) => conflict.columns(['issuer', 'subject']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** Among all processes one asks at a time: a grant may be good for one question alone. False for those who come second. */
export async function claimQuestion(
  tx: Transaction,
  { id, askedAt }: { id: number; askedAt: number | null },
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('external_identities')
    .set({ asked_at: now })
    .where('id', '=', id)
    .where('asked_at', askedAt === null ? 'is' : '=', askedAt)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** The issuer said that it holds. A grant of undefined leaves the one that is there. */
export async function confirmExternalIdentity(
  tx: Transaction,
  id: number,
  { sealedGrant, now }: { sealedGrant: string | null | undefined; now: number },
): Promise<void> {
  await tx.kysely
    .updateTable('external_identities')
    .set({
      confirmed_at: now,
      ended_at: null,
      ...(sealedGrant !== undefined && { sealed_grant: sealedGrant }),
    })
    .where('id', '=', id)
    .execute()
}

/** The issuer said that it does not hold any more. */
export async function endExternalIdentity(tx: Transaction, id: number, now: number): Promise<void> {
  await tx.kysely
    .updateTable('external_identities')
    .set({ ended_at: now, sealed_grant: null })
    .where('id', '=', id)
    .execute()
}

/** Its groups go with it. */
export async function deleteExternalIdentity(tx: Transaction, userId: number, id: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('external_identities')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Those of the names that are groups. */
export async function groupIdsOf(db: Executor, names: readonly string[]): Promise<number[]> {
  if (names.length === 0) return []
  const rows = await db.kysely.selectFrom('groups').select('id').where('name', 'in', names).execute()
  return rows.map(({ id }) => id)
}

/**
 * The groups that an account brings are these and no others (CVE-2025-23208). What people entered here stays: only who entered
 * it takes it back.
 */
export async function replaceExternalGroups(
  tx: Transaction,
  { id, userId }: { id: number; userId: number },
  groupIds: readonly number[],
): Promise<void> {
  await tx.kysely
    .deleteFrom('group_members')
    .where('identity_id', '=', id)
    .$if(groupIds.length > 0, (query) => query.where('group_id', 'not in', groupIds))
    .execute()
  if (groupIds.length === 0) return
  await tx.kysely
    .insertInto('group_members')
    .values(groupIds.map((groupId) => ({ group_id: groupId, user_id: userId, identity_id: id })))
    .onConflict((conflict) => conflict.columns(['user_id', 'group_id']).doNothing())
    .execute()
}
