// Repositories with what a list of them shows: how large they are, how many tags they have, when something was pushed.
import { type Db, type Executor, hot, type Transaction } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'

export interface RepositoryFigures {
  readonly id: number
  readonly name: string
  readonly project: string
  readonly createdAt: number
  /** Null until it was counted for the first time. */
  readonly size: number | null
  readonly tags: number | null
  readonly manifests: number | null
  readonly pushedAt: number | null
}

export const REPOSITORY_SORTS = ['name', 'size', 'tags', 'pushedAt'] as const
export type RepositorySort = (typeof REPOSITORY_SORTS)[number]

const counted = hot<{ id: number }>()((db, p) =>
  db.selectNoFrom((select) => [
    select
      .selectFrom('repository_blobs as rb')
      .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
      .select((inner) => inner.fn.sum<number>('b.size').as('bytes'))
      .where('rb.repository_id', '=', p.id)
      .as('blobBytes'),
    select
      .selectFrom('manifests as m')
      .select((inner) => inner.fn.sum<number>('m.size').as('bytes'))
      .where('m.repository_id', '=', p.id)
      .as('manifestBytes'),
    select
      .selectFrom('manifests as m')
      .select((inner) => inner.fn.countAll<number>().as('count'))
      .where('m.repository_id', '=', p.id)
      .as('manifests'),
    select
      .selectFrom('manifests as m')
      .select((inner) => inner.fn.max('m.created_at').as('at'))
      .where('m.repository_id', '=', p.id)
      .as('manifestAt'),
    select
      .selectFrom('tags as t')
      .select((inner) => inner.fn.countAll<number>().as('count'))
      .where('t.repository_id', '=', p.id)
      .as('tags'),
    select
      .selectFrom('tags as t')
      .select((inner) => inner.fn.max('t.updated_at').as('at'))
      .where('t.repository_id', '=', p.id)
      .as('tagAt'),
  ]),
)

const put = hot<{ id: number; size: number; tags: number; manifests: number; pushedAt: number }>()((db, p) =>
  db
    .insertInto('repository_figures')
    .values({
      repository_id: p.id,
      size: p.size,
      tags: p.tags,
      manifests: p.manifests,
      pushed_at: p.pushedAt,
    })
    .onConflict((conflict) =>
      conflict.column('repository_id').doUpdateSet((set) => ({
        size: set.ref('excluded.size'),
        tags: set.ref('excluded.tags'),
        manifests: set.ref('excluded.manifests'),
        pushed_at: set.ref('excluded.pushed_at'),
      })),
    ),
)

const idsAfter = hot<{ id: number; limit: number }>()((db, p) =>
  db.selectFrom('repositories').select('id').where('id', '>', p.id).orderBy('id').limit(p.limit),
)

const known = hot<{ id: number }>()((db, p) =>
  db
    .selectFrom('repository_figures')
    .select(['size', 'tags', 'manifests', 'pushed_at as pushedAt'])
    .where('repository_id', '=', p.id),
)

/** Counts a repository again, and writes that down where it is news. */
export async function countRepository(db: Db, id: number): Promise<void> {
  const found = await db.first(counted, { id })
  if (!found) return
  const number = (value: unknown) => Number(value ?? 0)
  const now = {
    size: number(found.blobBytes) + number(found.manifestBytes),
    tags: number(found.tags),
    manifests: number(found.manifests),
    pushedAt: Math.max(number(found.manifestAt), number(found.tagAt)),
  }
  const before = await db.first(known, { id })
  const isNews =
    before?.size !== now.size ||
    before.tags !== now.tags ||
    before.manifests !== now.manifests ||
    before.pushedAt !== now.pushedAt
  if (!isNews) return
  await db.transaction((tx) => tx.run(put, { id, ...now }), {
    durable: false,
    mayUseReserve: true,
    locks: NO_LOCKS,
  })
}

/** Ids in their order. */
export async function repositoryIdsAfter(db: Executor, id: number, limit: number): Promise<number[]> {
  return (await db.all(idsAfter, { id, limit })).map((row) => row.id)
}

/** Where a page begins: behind a repository that has this value. */
export interface FiguresPlace {
  readonly value: string | number
  readonly id: number
}

/** Those that are listed; of sorts other than by name, those that were counted. */
export async function repositoryFigures(
  db: Executor,
  order: { readonly sort: RepositorySort; readonly isDescending: boolean },
  page: {
    readonly after: FiguresPlace | undefined
    readonly project: string | undefined
    /** Its name: no other. */
    readonly only?: string | undefined
    readonly limit: number
  },
): Promise<RepositoryFigures[]> {
  const { sort, isDescending } = order
  const { after, project, only, limit } = page
  const direction = isDescending ? 'desc' : 'asc'
  const beyond = isDescending ? '<' : '>'
  let query = db.kysely
    .selectFrom('repositories as r')
    .leftJoin('repository_figures as f', 'f.repository_id', 'r.id')
    .select(['r.id', 'r.name', 'r.project', 'r.created_at as createdAt'])
    .select(['f.size', 'f.tags', 'f.manifests', 'f.pushed_at as pushedAt'])
    .where('r.listed', '=', 1)
    .limit(limit)
  if (project !== undefined) query = query.where('r.project', '=', project)
  if (only !== undefined) query = query.where('r.name', '=', only)
  if (sort === 'name') {
    if (after) query = query.where('r.name', beyond, String(after.value))
    return query.orderBy('r.name', direction).execute()
  }
  const column = sort === 'pushedAt' ? 'f.pushed_at' : (`f.${sort}` as const)
  query = query.where('f.repository_id', 'is not', null)
  if (after) {
    const { id } = after
    const value = Number(after.value)
    query = query
      .where(column, isDescending ? '<=' : '>=', value)
      .where((where) => where.or([where(column, beyond, value), where('f.repository_id', beyond, id)]))
  }
  return query.orderBy(column, direction).orderBy('f.repository_id', direction).execute()
}

/** When something of a repository was pulled last, by its id. */
export async function lastPulls(db: Executor, ids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  if (ids.length === 0) return new Map()
  const rows = await db.kysely
    .selectFrom('pulls')
    .select(['repository_id as id'])
    .select((select) => select.fn.max('pulled_at').as('at'))
    .where('repository_id', 'in', ids)
    .groupBy('repository_id')
    .execute()
  return new Map(rows.map(({ id, at }) => [id, Number(at)]))
}

/** From now on nobody lists it; a push lists it again. False when something is left in it, or it was not listed. */
export async function unlistEmptyRepository(tx: Transaction, id: number): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('repositories')
    .set({ listed: 0 })
    .where('id', '=', id)
    .where('listed', '=', 1)
    .where((where) =>
      where.not(where.exists(where.selectFrom('manifests').select('id').where('repository_id', '=', id))),
    )
    .where((where) =>
      where.not(
        where.exists(where.selectFrom('repository_blobs').select('blob_id').where('repository_id', '=', id)),
      ),
    )
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Digests of manifests of a repository, children of others behind them as they come. */
export async function someManifests(db: Executor, repositoryId: number, limit: number): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(({ digest }) => digest)
}

/** Digests of blobs that a repository holds. */
export async function someBlobs(db: Executor, repositoryId: number, limit: number): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select('b.digest')
    .where('rb.repository_id', '=', repositoryId)
    .limit(limit)
    .execute()
  return rows.map(({ digest }) => digest)
}
