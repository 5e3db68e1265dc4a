// What a repository holds and none of its manifests needs, while others keep the blob: it goes in the same two steps as a blob.
import { sql } from 'kysely'
import type { Executor, Transaction } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

/** For a row of repository_blobs, `rb`, joined with its blob, `b`. What only deleted manifests need is not held by anybody. */
const UNNEEDED_HERE = sql<boolean>`not exists (
    select 1 from manifest_blobs as mb inner join manifests as m on m.id = mb.manifest_id
    where mb.blob_id = rb.blob_id and m.repository_id = rb.repository_id)
  and not exists (
    select 1 from manifest_children as c inner join manifests as m on m.id = c.manifest_id
    where m.repository_id = rb.repository_id
      and (c.digest = b.digest or c.digest in (select a.digest from blob_aliases as a where a.blob_id = b.id)))
  and not exists (
    select 1 from manifest_missing as w inner join manifests as m on m.id = w.manifest_id
    where m.repository_id = rb.repository_id
      and (w.digest = b.digest or w.digest in (select a.digest from blob_aliases as a where a.blob_id = b.id)))`

export interface Holding {
  readonly repositoryId: number
  readonly repository: string
  readonly blobId: number
  readonly digest: Digest
  readonly size: number
}

/** Repositories by id: the next after one. */
export async function repositoryIdsAfter(db: Executor, after: number, limit: number): Promise<number[]> {
  const rows = await db.kysely
    .selectFrom('repositories')
    .select('id')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** Of the next `limit` blobs that a repository holds: those that none of its manifests needs, and the last one looked at. */
export async function staleHoldings(
  db: Executor,
  page: {
    readonly repositoryId: number
    readonly after: number
    readonly limit: number
    readonly before: number
  },
): Promise<{ readonly blobIds: number[]; readonly last: number | undefined }> {
  const looked = await db.kysely
    .selectFrom('repository_blobs')
    .select('blob_id as id')
    .where('repository_id', '=', page.repositoryId)
    .where('blob_id', '>', page.after)
    .orderBy('blob_id')
    .limit(page.limit)
    .execute()
  const last = looked.at(-1)?.id
  if (last === undefined) return { blobIds: [], last }
  const rows = await db.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select('rb.blob_id as id')
    .where('rb.repository_id', '=', page.repositoryId)
    .where('rb.blob_id', '>', page.after)
    .where('rb.blob_id', '<=', last)
    .where('rb.created_at', '<=', page.before)
    .where('rb.condemned_at', 'is', null)
    .where('b.condemned_at', 'is', null)
    .where(UNNEEDED_HERE)
    .execute()
  return { blobIds: rows.map(({ id }) => id), last }
}

export async function condemnHoldings(
  tx: Transaction,
  repositoryId: number,
  blobIds: readonly number[],
  now: number,
): Promise<void> {
  await tx.kysely
    .updateTable('repository_blobs')
    .set({ condemned_at: now })
    .where('repository_id', '=', repositoryId)
    .where('blob_id', 'in', blobIds)
    .where('condemned_at', 'is', null)
    .execute()
}

/** Holdings whose time is over, oldest first. */
export async function condemnedHoldings(
  db: Executor,
  condemnedBefore: number,
  limit: number,
): Promise<Holding[]> {
  const rows = await db.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select([
      'rb.repository_id as repositoryId',
      'r.name as repository',
      'rb.blob_id as blobId',
      'b.digest',
      'b.size',
    ])
    .where('rb.condemned_at', 'is not', null)
    .where('rb.condemned_at', '<=', condemnedBefore)
    .orderBy('rb.condemned_at')
    .limit(limit)
    .execute()
  return rows as Holding[]
}

/** Drops a condemned holding when nothing needs it still; otherwise it lives again. True when it is dropped. */
export async function dropHolding(
  tx: Transaction,
  { repositoryId, blobId }: Pick<Holding, 'repositoryId' | 'blobId'>,
  condemnedBefore: number,
): Promise<boolean> {
  const stale = await tx.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select('rb.blob_id')
    .where('rb.repository_id', '=', repositoryId)
    .where('rb.blob_id', '=', blobId)
    .where('rb.condemned_at', '<=', condemnedBefore)
    .where(UNNEEDED_HERE)
    .executeTakeFirst()
  if (stale) {
    await tx.kysely
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', repositoryId)
      .where('blob_id', '=', blobId)
      .execute()
    return true
  }
  await tx.kysely
    .updateTable('repository_blobs')
    .set({ condemned_at: null })
    .where('repository_id', '=', repositoryId)
    .where('blob_id', '=', blobId)
    .where('condemned_at', '<=', condemnedBefore)
    .execute()
  return false
}

/** Of these blobs, those that the repository has held since before a time, and that none of its manifests needs. */
export async function unneededOf(
  tx: Transaction,
  holder: { readonly repositoryId: number; readonly blobIds: readonly number[]; readonly before: number },
): Promise<{ readonly blobId: number; readonly digest: Digest; readonly size: number }[]> {
  if (holder.blobIds.length === 0) return []
  const rows = await tx.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select(['rb.blob_id as blobId', 'b.digest', 'b.size'])
    .where('rb.repository_id', '=', holder.repositoryId)
    .where('rb.blob_id', 'in', holder.blobIds)
    .where('rb.created_at', '<=', holder.before)
    .where(UNNEEDED_HERE)
    .execute()
  return rows as { blobId: number; digest: Digest; size: number }[]
}
