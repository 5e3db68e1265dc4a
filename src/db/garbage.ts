// Which blobs nothing needs, and the steps in which they go: condemned, then deleting, then gone. What a step takes it
// checks again in its own statement.
import { sql } from 'kysely'
import type { Executor, Transaction } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

/** A deletion that was begun so long ago is nobody's any more: whoever began it does not go on with it after half of that. */
export const ABANDONED_MS = 60_000

export interface GarbageRecord {
  readonly id: number
  readonly digest: Digest
  readonly size: number
  /** Null when no repository holds it; otherwise a project that does, the first by name. */
  readonly project: string | null
}

/** Cheapest first: most blobs are layers of some manifest. A digest may be listed by an index, or waited for. */
const UNREFERENCED = sql<boolean>`not exists (select 1 from manifest_blobs where manifest_blobs.blob_id = blobs.id)
  and not exists (select 1 from manifests where manifests.blob_id = blobs.id)
  and not exists (select 1 from deleted_manifest_blobs where deleted_manifest_blobs.blob_id = blobs.id)
  and not exists (select 1 from manifest_children where manifest_children.digest = blobs.digest)
  and not exists (select 1 from manifest_missing where manifest_missing.digest = blobs.digest)
  and not exists (
    select 1 from blob_aliases where blob_aliases.blob_id = blobs.id and (
      exists (select 1 from manifest_children where manifest_children.digest = blob_aliases.digest)
      or exists (select 1 from manifest_missing where manifest_missing.digest = blob_aliases.digest)))`

/** Nobody pushed or mounted it since: a client pushes blobs first, and what needs them later. */
const isOld = (before: number) => sql<boolean>`blobs.created_at <= ${before} and not exists (
  select 1 from repository_blobs where repository_blobs.blob_id = blobs.id and repository_blobs.created_at > ${before})`

export interface GarbageSlice {
  /** Ids from `after` (exclusively) to `to` (inclusively). */
  readonly after: number
  readonly to: number
  /** Pushed or mounted after this time, a blob is not looked at. Milliseconds since 1970. */
  readonly before: number
}

/** The largest id, 0 when there is no blob. */
export async function lastBlobId(db: Executor): Promise<number> {
  const row = await db.kysely
    .selectFrom('blobs')
    .select((select) => select.fn.max('id').as('id'))
    .executeTakeFirst()
  return Number(row?.id ?? 0)
}

/** Blobs of a slice that nothing needs, condemned or not. */
export async function garbageIn(db: Executor, slice: GarbageSlice): Promise<GarbageRecord[]> {
  const rows = await db.kysely
    .selectFrom('blobs')
    .select((select) => [
      'id',
      'digest',
      'size',
      select
        .selectFrom('repository_blobs as rb')
        .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
        .select((inner) => inner.fn.min('r.project').as('name'))
        .whereRef('rb.blob_id', '=', 'blobs.id')
        .as('project'),
    ])
    .where('id', '>', slice.after)
    .where('id', '<=', slice.to)
    .where('deleting', '=', 0)
    .where(UNREFERENCED)
    .where(isOld(slice.before))
    .orderBy('id')
    .execute()
  return rows as GarbageRecord[]
}

/** Condemns those that nothing needs still. Their time begins now, unless it runs already. */
export async function condemnBlobs(
  tx: Transaction,
  ids: readonly number[],
  { before, now }: { readonly before: number; readonly now: number },
): Promise<void> {
  await tx.kysely
    .updateTable('blobs')
    .set({ condemned_at: now })
    .where('id', 'in', ids)
    .where('condemned_at', 'is', null)
    .where('deleting', '=', 0)
    .where(UNREFERENCED)
    .where(isOld(before))
    .execute()
}

/** Condemned blobs whose time is over, and those whose deletion was not brought to its end; oldest first. */
export async function condemnedBlobs(
  db: Executor,
  page: { readonly condemnedBefore: number; readonly now: number; readonly limit: number },
): Promise<{ readonly id: number; readonly digest: Digest; readonly size: number }[]> {
  const rows = await db.kysely
    .selectFrom('blobs')
    .select(['id', 'digest', 'size'])
    .where('condemned_at', 'is not', null)
    .where('condemned_at', '<=', page.condemnedBefore)
    .where('deleting', '<', page.now - ABANDONED_MS)
    .orderBy('condemned_at')
    .orderBy('id')
    .limit(page.limit)
    .execute()
  return rows as { id: number; digest: Digest; size: number }[]
}

/** When the last one was condemned that is not deleted; null when there is none. */
export async function lastCondemnedAt(db: Executor): Promise<number | null> {
  const row = await db.kysely
    .selectFrom('blobs')
    .select((select) => select.fn.max('condemned_at').as('at'))
    .where('condemned_at', 'is not', null)
    .executeTakeFirst()
  return row?.at == null ? null : Number(row.at)
}

/**
 * The point of no return. Of those blobs, the ones that are condemned still and needed by nothing are deleting from now on;
 * the others live again. Resolves to the first.
 */
export async function beginDeleting(
  tx: Transaction,
  ids: readonly number[],
  { condemnedBefore, now }: { readonly condemnedBefore: number; readonly now: number },
): Promise<{ readonly id: number; readonly digest: Digest; readonly size: number }[]> {
  const going = await tx.kysely
    .updateTable('blobs')
    .set({ deleting: now })
    .where('id', 'in', ids)
    .where('condemned_at', '<=', condemnedBefore)
    .where('deleting', '<', now - ABANDONED_MS)
    .where(UNREFERENCED)
    .returning(['id', 'digest', 'size'])
    .execute()
  await tx.kysely
    .updateTable('blobs')
    .set({ condemned_at: null })
    .where('id', 'in', ids)
    .where('deleting', '=', 0)
    .where('condemned_at', '<=', condemnedBefore)
    .execute()
  return going as { id: number; digest: Digest; size: number }[]
}

/** What is deleted is held by nobody. Resolves to who held it, and by which names. */
export async function dropHoldings(
  tx: Transaction,
  ids: readonly number[],
): Promise<{ readonly repository: string; readonly digest: Digest; readonly size: number }[]> {
  const held = tx.kysely
    .selectFrom('repository_blobs as rb')
    .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .where('rb.blob_id', 'in', ids)
  const byName = await held.select(['r.name as repository', 'b.digest', 'b.size']).execute()
  const byAlias = await held
    .innerJoin('blob_aliases as a', 'a.blob_id', 'b.id')
    .select(['r.name as repository', 'a.digest', 'b.size'])
    .execute()
  await tx.kysely.deleteFrom('repository_blobs').where('blob_id', 'in', ids).execute()
  return [...byName, ...byAlias] as { repository: string; digest: Digest; size: number }[]
}

/** Forgets blobs whose bytes are deleted, by whoever began that then. */
export async function forgetDeleted(tx: Transaction, ids: readonly number[], began: number): Promise<void> {
  await tx.kysely.deleteFrom('blobs').where('id', 'in', ids).where('deleting', '=', began).execute()
}

/** A file that no facts know gets a row that is condemned. False when a row came first. */
export async function condemnFile(
  tx: Transaction,
  file: { readonly digest: Digest; readonly size: number; readonly now: number },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('blobs')
    .values({
      digest: file.digest,
      size: file.size,
      created_at: file.now,
      verified_at: null,
      condemned_at: file.now,
    })
    .onConflict((conflict) => conflict.column('digest').doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** Those digests of a list that no blob has. */
export async function unknownDigests(db: Executor, digests: readonly Digest[]): Promise<Set<Digest>> {
  const rows = await db.kysely.selectFrom('blobs').select('digest').where('digest', 'in', digests).execute()
  const known = new Set(rows.map(({ digest }) => digest))
  return new Set(digests.filter((digest) => !known.has(digest)))
}

/** Names of a list of blobs in other algorithms. */
export async function aliasesOfBlobs(db: Executor, ids: readonly number[]): Promise<Digest[]> {
  const rows = await db.kysely
    .selectFrom('blob_aliases')
    .select('digest')
    .where('blob_id', 'in', ids)
    .execute()
  return rows.map(({ digest }) => digest as Digest)
}

/** Digests of blobs, and their names in other algorithms: what to lock before deciding about them. */
export async function namesOfBlobs(db: Executor, ids: readonly number[]): Promise<Digest[]> {
  if (ids.length === 0) return []
  const rows = await db.kysely.selectFrom('blobs').select('digest').where('id', 'in', ids).execute()
  return [...rows.map(({ digest }) => digest as Digest), ...(await aliasesOfBlobs(db, ids))]
}

/** Condemns those of the blobs that no repository holds and nothing needs, whatever their age; resolves to their ids. */
export async function condemnUnheld(tx: Transaction, ids: readonly number[], now: number): Promise<number[]> {
  if (ids.length === 0) return []
  const rows = await tx.kysely
    .updateTable('blobs')
    .set({ condemned_at: now })
    .where('id', 'in', ids)
    .where('deleting', '=', 0)
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('repository_blobs as rb')
            .select('rb.blob_id')
            .whereRef('rb.blob_id', '=', 'blobs.id'),
        ),
      ),
    )
    .where(UNREFERENCED)
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}
