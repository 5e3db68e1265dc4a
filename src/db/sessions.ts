// Browsers that are logged in. Only hashes of their cookies are here.
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface SessionRecord {
  readonly id: number
  readonly userName: string
  readonly method: string
  readonly remote: string | null
  readonly userAgent: string | null
  readonly createdAt: number
  readonly seenAt: number
  readonly expiresAt: number
}

const COLUMNS = [
  'sessions.id',
  'users.name as userName',
  'method',
  'remote',
  'user_agent as userAgent',
  'sessions.created_at as createdAt',
  'seen_at as seenAt',
  'expires_at as expiresAt',
] as const

const byHash = hot<{ hash: string }>()((db, p) =>
  db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(COLUMNS)
    .where('hash', '=', p.hash),
)

export function findSession(db: Executor, hash: string): Promise<SessionRecord | undefined> {
  return db.first(byHash, { hash })
}

/** Of a user, the one used last first. */
export function sessionsOf(db: Executor, userId: number): Promise<SessionRecord[]> {
  return db.kysely
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(COLUMNS)
    .where('user_id', '=', userId)
    .orderBy('seen_at', 'desc')
    .orderBy('sessions.id', 'desc')
    .execute()
}

export async function insertSession(
  tx: Transaction,
  session: {
    hash: string
    userId: number
    method: string
    remote: string | null
    userAgent: string | null
    expiresAt: number
    now: number
  },
): Promise<void> {
  await tx.kysely
    .insertInto('sessions')
    .values({
      hash: session.hash,
      user_id: session.userId,
      method: session.method,
      remote: session.remote,
      user_agent: session.userAgent,
      created_at: session.now,
      seen_at: session.now,
      expires_at: session.expiresAt,
    })
    .execute()
}

export async function touchSession(tx: Transaction, id: number, now: number): Promise<void> {
  await tx.kysely.updateTable('sessions').set({ seen_at: now }).where('id', '=', id).execute()
}

export async function deleteSession(tx: Transaction, hash: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('sessions')
    .where('hash', '=', hash)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

export async function deleteSessionOf(tx: Transaction, userId: number, id: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('sessions')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** All of a user: when the account is disabled, or its password changed. */
export async function deleteSessionsOf(tx: Transaction, userName: string): Promise<void> {
  await tx.kysely
    .deleteFrom('sessions')
    .where('user_id', 'in', (select) => select.selectFrom('users').select('id').where('name', '=', userName))
    .execute()
}

/** Leaves the newest of a user. */
export async function keepSessions(tx: Transaction, userId: number, count: number): Promise<void> {
  await tx.kysely
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    .where('id', 'not in', (select) =>
      select
        .selectFrom('sessions')
        .select('id')
        .where('user_id', '=', userId)
        .orderBy('id', 'desc')
        .limit(count),
    )
    .execute()
}

/** Those whose time is over, or that nobody used since. */
export async function pruneSessions(
  tx: Transaction,
  { now, seenBefore }: { now: number; seenBefore: number },
): Promise<void> {
  await tx.kysely
    .deleteFrom('sessions')
    .where((where) => where.or([where('expires_at', '<=', now), where('seen_at', '<=', seenBefore)]))
    .execute()
}
