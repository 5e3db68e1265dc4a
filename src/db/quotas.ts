// Limits on what may be used, by scope.
import { sql } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { type Measure, projectScope, REGISTRY_SCOPE } from '#db/usage.ts'

/** Null: no limit. */
export type Limits = Readonly<Record<Measure, number | null>>

export interface QuotaRecord {
  readonly scope: string
  readonly limits: Limits
  readonly version: number
}

interface Row extends Limits {
  readonly scope: string
  readonly version: number
}

const COLUMNS = ['q.scope', 'q.bytes', 'q.repositories', 'q.tags', 'q.version'] as const

const concerning = hot<{ registry: string; project: string; user: string | null }>()((db, p) =>
  db
    .selectFrom('quotas as q')
    .select(COLUMNS)
    .where('q.scope', 'in', [p.registry, p.project])
    .unionAll(
      db
        .selectFrom('users as u')
        .innerJoin('quotas as q', (join) => join.on(sql<boolean>`q.scope = 'user:' || u.id`))
        .select(COLUMNS)
        .where('u.name', '=', p.user),
    ),
)

const any = hot<object>()((db) => db.selectFrom('quotas').select('scope').limit(1))

function recordOf({ scope, bytes, repositories, tags, version }: Row): QuotaRecord {
  return { scope, limits: { bytes, repositories, tags }, version }
}

/** Those that were set for the registry, a project, and a user where one is named. */
export async function quotasConcerning(
  db: Executor,
  { project, user }: { readonly project: string; readonly user: string | undefined },
): Promise<QuotaRecord[]> {
  // Most registries have none, and each push asks several times: in this process a second query costs less than the whole one.
  if (db.engine === 'sqlite' && !(await db.first(any, {}))) return []
  const names = { registry: REGISTRY_SCOPE, project: projectScope(project), user: user ?? null }
  return (await db.all(concerning, names)).map(recordOf)
}

export async function findQuota(db: Executor, scope: string): Promise<QuotaRecord | undefined> {
  const row = await db.kysely
    .selectFrom('quotas as q')
    .select(COLUMNS)
    .where('q.scope', '=', scope)
    .executeTakeFirst()
  return row && recordOf(row)
}

/** By scope, after `last` exclusively. */
export async function quotaPage(db: Executor, last: string, limit: number): Promise<QuotaRecord[]> {
  const rows = await db.kysely
    .selectFrom('quotas as q')
    .select(COLUMNS)
    .where('q.scope', '>', last)
    .orderBy('q.scope')
    .limit(limit)
    .execute()
  return rows.map(recordOf)
}

/** Makes it or replaces it. */
export async function setQuota(tx: Transaction, scope: string, limits: Limits, now: number): Promise<void> {
  await tx.kysely
    .insertInto('quotas')
    .values({ scope, ...limits, created_at: now, updated_at: now })
    .onConflict((conflict) =>
      conflict.column('scope').doUpdateSet({
        ...limits,
        updated_at: now,
        version: sql<number>`quotas.version + 1`,
      }),
    )
    .execute()
}

export async function deleteQuota(tx: Transaction, scope: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('quotas')
    .where('scope', '=', scope)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

export interface UsageLock {
  readonly scope: string
  /** `shared` waits for nobody who shares; `alone` waits for all, and all wait for it. */
  readonly mode: 'shared' | 'alone'
}

/** Until the end of the transaction, one after the other. SQLite has one writer, who is alone. */
export async function lockUsage(tx: Transaction, locks: readonly UsageLock[]): Promise<void> {
  if (tx.engine === 'sqlite' || locks.length === 0) return
  const calls = locks.map(({ scope, mode }) => {
    const lock = sql.raw(mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock')
    return sql`${lock}(hashtextextended(${`usage:${scope}`}, 0))`
  })
  await sql`select ${sql.join(calls)}`.execute(tx.kysely)
}

/** Remembers that somebody was told of a scope that is nearly used up. False when somebody was before. */
export async function markWarned(tx: Transaction, scope: string, now: number): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('usage_totals')
    .values({ scope, bytes: 0, repositories: 0, tags: 0, warned_at: now })
    .onConflict((conflict) =>
      conflict.column('scope').doUpdateSet({ warned_at: now }).where('usage_totals.warned_at', 'is', null),
    )
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** Scopes of which somebody was told that they are nearly used up. */
export async function warnedScopes(db: Executor): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('usage_totals')
    .select('scope')
    .where('warned_at', 'is not', null)
    .execute()
  return rows.map(({ scope }) => scope)
}

export async function forgetWarning(tx: Transaction, scope: string): Promise<void> {
  await tx.kysely.updateTable('usage_totals').set({ warned_at: null }).where('scope', '=', scope).execute()
}
