// Which blobs nothing would need any more if certain manifests went: shared layers count only when all that share them go.
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

/** Values of one statement. */
const PER_STATEMENT = 500

export interface Going {
  /** Ids of manifests. */
  readonly manifests: ReadonlySet<number>
  /** Ids of deleted manifests that can be restored still. */
  readonly deleted: ReadonlySet<number>
}

export interface FreedBlob {
  readonly id: number
  readonly digest: Digest
  readonly size: number
}

export async function freedBlobs(db: Executor, going: Going): Promise<FreedBlob[]> {
  const needs = new Map<number, number>()
  const add = (rows: readonly { readonly id: number }[]) => {
    for (const { id } of rows) needs.set(id, (needs.get(id) ?? 0) + 1)
  }
  for (const ids of chunks([...going.manifests])) {
    add(
      await db.kysely
        .selectFrom('manifest_blobs')
        .select('blob_id as id')
        .where('manifest_id', 'in', ids)
        .execute(),
    )
    add(await db.kysely.selectFrom('manifests').select('blob_id as id').where('id', 'in', ids).execute())
  }
  for (const ids of chunks([...going.deleted]))
    add(
      await db.kysely
        .selectFrom('deleted_manifest_blobs')
        .select('blob_id as id')
        .where('deleted_id', 'in', ids)
        .execute(),
    )
  const freed: FreedBlob[] = []
  for (const ids of chunks([...needs.keys()])) freed.push(...(await freedOf(db, ids, needs, going)))
  return freed
}

async function freedOf(
  db: Executor,
  ids: readonly number[],
  needs: ReadonlyMap<number, number>,
  going: Going,
): Promise<FreedBlob[]> {
  const all = new Map<number, number>()
  for (const table of ['manifest_blobs', 'manifests', 'deleted_manifest_blobs'] as const) {
    const counts = await db.kysely
      .selectFrom(table)
      .select((select) => ['blob_id as id', select.fn.countAll<number>().as('count')])
      .where('blob_id', 'in', ids)
      .groupBy('blob_id')
      .execute()
    for (const { id, count } of counts) all.set(id, (all.get(id) ?? 0) + Number(count))
  }
  const candidates = ids.filter((id) => all.get(id) === needs.get(id))
  if (candidates.length === 0) return []
  const listed = await db.kysely
    .selectFrom('blobs as b')
    .innerJoin('manifest_children as c', 'c.digest', 'b.digest')
    .select(['b.id', 'c.manifest_id as by'])
    .where('b.id', 'in', candidates)
    .execute()
  const needed = new Set(listed.filter(({ by }) => !going.manifests.has(by)).map(({ id }) => id))
  const rows = await db.kysely
    .selectFrom('blobs')
    .select(['id', 'digest', 'size'])
    .where('id', 'in', candidates)
    .execute()
  return (rows as FreedBlob[]).filter(({ id }) => !needed.has(id))
}

function* chunks(ids: readonly number[]): Generator<number[]> {
  for (let at = 0; at < ids.length; at += PER_STATEMENT) yield ids.slice(at, at + PER_STATEMENT)
}

/** Ids of the manifests that were deleted at or before a time, and could be restored still. */
export async function deletedBefore(db: Executor, before: number): Promise<number[]> {
  const rows = await db.kysely
    .selectFrom('deleted_manifests')
    .select('id')
    .where('deleted_at', '<=', before)
    .execute()
  return rows.map(({ id }) => id)
}

/** A project that holds each of these blobs, the first by name. */
export async function projectsOf(
  db: Executor,
  blobIds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>()
  for (const ids of chunks(blobIds)) {
    const rows = await db.kysely
      .selectFrom('repository_blobs as rb')
      .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
      .select((select) => ['rb.blob_id as id', select.fn.min<string>('r.project').as('project')])
      .where('rb.blob_id', 'in', ids)
      .groupBy('rb.blob_id')
      .execute()
    for (const { id, project } of rows) found.set(id, project)
  }
  return found
}
