// What is used of what: bytes, repositories and tags of a project, a user, the registry.
//
// Triggers count in the transaction of each change. Where many write at once (PostgreSQL) each change is a row of its own,
// so that nobody waits for another; the rows are gathered into totals now and then.
import { type Kysely, sql } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Tables } from '#db/schema.ts'

/** Rows of changes that one scope may have before they are worth gathering. */
const DELTAS_PER_SCOPE_MAX = 200

export interface Usage {
  readonly bytes: number
  readonly repositories: number
  readonly tags: number
}

export const MEASURES = ['bytes', 'repositories', 'tags'] as const
export type Measure = (typeof MEASURES)[number]

export const REGISTRY_SCOPE = 'registry'

export function projectScope(project: string): string {
  return `project:${project}`
}

/** Empty for what all such scopes begin with. */
export function userScope(userId: number | ''): string {
  return `user:${userId}`
}

const NOTHING: Usage = { bytes: 0, repositories: 0, tags: 0 }

type ThreeScopes = { one: string; two: string; three: string }

/** Totals and changes as they are: here that is a row a scope, and a few more after an upgrade. */
const rows = (db: Kysely<Tables>, p: ThreeScopes) => {
  const scopes = [p.one, p.two, p.three]
  const columns = ['scope', 'bytes', 'repositories', 'tags'] as const
  return db
    .selectFrom('usage_totals')
    .select(columns)
    .where('scope', 'in', scopes)
    .unionAll(db.selectFrom('usage_deltas').select(columns).where('scope', 'in', scopes))
}

const rowsOf = hot<ThreeScopes>()(rows)

/** The same, added up where the rows are: a busy project has hundreds of changes. */
const sumsOf = hot<ThreeScopes>()((db, p) =>
  db
    .selectFrom(rows(db, p).as('u'))
    .select(({ fn }) => [
      'u.scope',
      fn.sum<number>('u.bytes').as('bytes'),
      fn.sum<number>('u.repositories').as('repositories'),
      fn.sum<number>('u.tags').as('tags'),
      fn.countAll<number>().as('changes'),
    ])
    .groupBy('u.scope'),
)

export interface Counted {
  readonly used: Usage
  /** Rows that were looked at. */
  readonly changes: number
}

/** Scopes of one question. */
export const SCOPES_MAX = 3

/** Of each scope, at most SCOPES_MAX of them, in their order. In one look: a gathering that goes on meanwhile changes nothing. */
export async function usagesOf(db: Executor, scopes: readonly string[]): Promise<Counted[]> {
  const [one = '', two = '', three = ''] = scopes
  const names = { one, two, three }
  const found =
    db.engine === 'sqlite'
      ? (await db.all(rowsOf, names)).map((row) => ({ ...row, changes: 1 }))
      : await db.all(sumsOf, names)
  return scopes.map((scope) => {
    let [used, changes] = [NOTHING, 0]
    for (const row of found) {
      if (row.scope !== scope) continue
      used = {
        bytes: used.bytes + row.bytes,
        repositories: used.repositories + row.repositories,
        tags: used.tags + row.tags,
      }
      changes += row.changes
    }
    return { used, changes }
  })
}

export async function usageOf(db: Executor, scope: string): Promise<Counted> {
  const [counted] = await usagesOf(db, [scope])
  return counted ?? { used: NOTHING, changes: 0 }
}

const held = hot<{ sha256: string; project: string }>()((db, p) =>
  db
    .selectFrom('blobs as b')
    .innerJoin('blob_holds as h', 'h.blob_id', 'b.id')
    .select('h.project')
    .where('b.digest', '=', p.sha256)
    .where('h.project', 'in', [p.project, '']),
)

/** Whether a project, and whether the registry, counts these bytes already. */
export async function isHeld(
  db: Executor,
  project: string,
  sha256: string,
): Promise<{ readonly project: boolean; readonly registry: boolean }> {
  const rows = await db.all(held, { project, sha256 })
  return {
    project: rows.some((row) => row.project === project),
    registry: rows.some((row) => row.project === ''),
  }
}

/** Gathers changes into totals: those of scopes with many, or all of them. Resolves to how many rows were gathered. */
export async function gatherUsage(tx: Transaction, scope?: string): Promise<number> {
  const { rows } = await sql<{ scope: string; bytes: number; repositories: number; tags: number }>`
    delete from usage_deltas ${scope === undefined ? sql`` : sql`where scope = ${scope}`}
    returning scope, bytes, repositories, tags`.execute(tx.kysely)
  const sums = new Map<string, { bytes: number; repositories: number; tags: number }>()
  for (const row of rows) {
    const sum = sums.get(row.scope) ?? { bytes: 0, repositories: 0, tags: 0 }
    for (const measure of MEASURES) sum[measure] += Number(row[measure])
    sums.set(row.scope, sum)
  }
  for (const [name, sum] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
    await tx.kysely
      .insertInto('usage_totals')
      .values({ scope: name, ...sum })
      .onConflict((conflict) =>
        conflict.column('scope').doUpdateSet((set) => ({
          bytes: sql<number>`usage_totals.bytes + ${set.ref('excluded.bytes')}`,
          repositories: sql<number>`usage_totals.repositories + ${set.ref('excluded.repositories')}`,
          tags: sql<number>`usage_totals.tags + ${set.ref('excluded.tags')}`,
        })),
      )
      .execute()
  }
  return rows.length
}

/** Scopes with so many changes that looking at them costs. */
export async function scopesToGather(db: Executor): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('usage_deltas')
    .select('scope')
    .groupBy('scope')
    .having((having) => having.fn.countAll(), '>', DELTAS_PER_SCOPE_MAX)
    .execute()
  return rows.map(({ scope }) => scope)
}

/** Before a user goes: another one may get his id. */
export async function dropUsageOfUser(tx: Transaction, userId: number): Promise<void> {
  await tx.kysely.updateTable('blob_holds').set({ user_id: null }).where('user_id', '=', userId).execute()
  for (const table of ['usage_totals', 'usage_deltas', 'quotas'] as const)
    await tx.kysely.deleteFrom(table).where('scope', '=', userScope(userId)).execute()
}
