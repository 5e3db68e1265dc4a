// Tags with what a list of them shows, and how many bytes a manifest stands for.
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

export interface ManifestDetail {
  readonly manifestId: number
  readonly digest: Digest
  /** sha256 of its bytes. */
  readonly blobDigest: Digest
  readonly mediaType: string
  readonly artifactType: string | null
  /** Of the manifest itself. */
  readonly manifestSize: number
}

export interface TagDetail extends ManifestDetail {
  readonly name: string
  readonly createdAt: number
  readonly pushedAt: number
  readonly pulledAt: number | null
}

export const TAG_SORTS = ['name', 'pushedAt'] as const
export type TagSort = (typeof TAG_SORTS)[number]

export async function tagDetails(
  db: Executor,
  repositoryId: number,
  order: { readonly sort: TagSort; readonly isDescending: boolean },
  page: {
    /** The name of the tag before, and when it was pushed. */
    readonly after: { readonly name: string; readonly at: number } | undefined
    readonly digest: string | undefined
    readonly limit: number
  },
): Promise<TagDetail[]> {
  const { sort, isDescending } = order
  const { after, digest, limit } = page
  const direction = isDescending ? 'desc' : 'asc'
  const beyond = isDescending ? '<' : '>'
  let query = db.kysely
    .selectFrom('tags as t')
    .innerJoin('manifests as m', 'm.id', 't.manifest_id')
    .innerJoin('blobs as b', 'b.id', 'm.blob_id')
    .leftJoin('pulls as p', (join) =>
      join.onRef('p.repository_id', '=', 't.repository_id').onRef('p.name', '=', 't.name'),
    )
    .select(['t.name', 't.created_at as createdAt', 't.updated_at as pushedAt', 'p.pulled_at as pulledAt'])
    .select(['m.id as manifestId', 'm.digest', 'm.media_type as mediaType'])
    .select(['m.artifact_type as artifactType', 'm.size as manifestSize', 'b.digest as blobDigest'])
    .where('t.repository_id', '=', repositoryId)
    .limit(limit)
  if (digest !== undefined) query = query.where('m.digest', '=', digest)
  if (sort === 'name') {
    if (after) query = query.where('t.name', beyond, after.name)
    return (await query.orderBy('t.name', direction).execute()) as TagDetail[]
  }
  if (after)
    query = query.where((where) =>
      where.or([
        where('t.updated_at', beyond, after.at),
        where.and([where('t.updated_at', '=', after.at), where('t.name', beyond, after.name)]),
      ]),
    )
  return (await query
    .orderBy('t.updated_at', direction)
    .orderBy('t.name', direction)
    .execute()) as TagDetail[]
}

/** Of one manifest; undefined where there is none. */
export async function manifestDetail(
  db: Executor,
  manifestId: number,
): Promise<
  (ManifestDetail & { createdAt: number; subject: string | null; pulledAt: number | null }) | undefined
> {
  const row = await db.kysely
    .selectFrom('manifests as m')
    .innerJoin('blobs as b', 'b.id', 'm.blob_id')
    .leftJoin('pulls as p', (join) =>
      join.onRef('p.repository_id', '=', 'm.repository_id').onRef('p.name', '=', 'm.digest'),
    )
    .select(['m.id as manifestId', 'm.digest', 'm.media_type as mediaType', 'm.created_at as createdAt'])
    .select(['m.artifact_type as artifactType', 'm.size as manifestSize', 'b.digest as blobDigest'])
    .select(['m.subject', 'p.pulled_at as pulledAt'])
    .where('m.id', '=', manifestId)
    .executeTakeFirst()
  return row as
    | (ManifestDetail & { createdAt: number; subject: string | null; pulledAt: number | null })
    | undefined
}

/** An index in an index in an index: what is deeper is not added up. */
const INDEX_DEPTH_MAX = 3

/** Bytes of manifests with all that they refer to in their repository, each blob once, by the ids of the manifests. */
export async function totalSizes(
  db: Executor,
  manifestIds: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const below = new Map(manifestIds.map((id) => [id, new Set([id])]))
  for (let depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
    const children = await childrenOf(db, [...new Set([...below.values()].flatMap((ids) => [...ids]))])
    let isGrown = false
    for (const ids of below.values()) {
      const before = ids.size
      for (const id of [...ids]) for (const child of children.get(id) ?? []) ids.add(child)
      isGrown ||= ids.size > before
    }
    if (!isGrown) break
  }
  const all = [...new Set([...below.values()].flatMap((ids) => [...ids]))]
  const own = await manifestSizes(db, all)
  const blobs = await blobSizes(db, all)
  return new Map(
    [...below].map(([root, ids]) => {
      const distinct = new Map([...ids].flatMap((id) => [...(blobs.get(id) ?? [])]))
      const bytes = [...ids].reduce((sum, id) => sum + (own.get(id) ?? 0), 0)
      return [root, [...distinct.values()].reduce((sum, size) => sum + size, bytes)]
    }),
  )
}

async function childrenOf(db: Executor, ids: readonly number[]): Promise<Map<number, number[]>> {
  const children = new Map<number, number[]>()
  if (ids.length === 0) return children
  const rows = await db.kysely
    .selectFrom('manifest_children as mc')
    .innerJoin('manifests as parent', 'parent.id', 'mc.manifest_id')
    .innerJoin('manifests as child', (join) =>
      join.onRef('child.repository_id', '=', 'parent.repository_id').onRef('child.digest', '=', 'mc.digest'),
    )
    .select(['parent.id as parent', 'child.id as child'])
    .where('mc.manifest_id', 'in', ids)
    .execute()
  for (const { parent, child } of rows) children.set(parent, [...(children.get(parent) ?? []), child])
  return children
}

async function manifestSizes(db: Executor, ids: readonly number[]): Promise<Map<number, number>> {
  if (ids.length === 0) return new Map()
  const rows = await db.kysely.selectFrom('manifests').select(['id', 'size']).where('id', 'in', ids).execute()
  return new Map(rows.map(({ id, size }) => [id, size]))
}

async function blobSizes(db: Executor, ids: readonly number[]): Promise<Map<number, [number, number][]>> {
  const sizes = new Map<number, [number, number][]>()
  if (ids.length === 0) return sizes
  const rows = await db.kysely
    .selectFrom('manifest_blobs as mb')
    .innerJoin('blobs as b', 'b.id', 'mb.blob_id')
    .select(['mb.manifest_id as manifest', 'b.id', 'b.size'])
    .where('mb.manifest_id', 'in', ids)
    .execute()
  for (const { manifest, id, size } of rows) {
    const known = sizes.get(manifest) ?? []
    known.push([id, size])
    sizes.set(manifest, known)
  }
  return sizes
}

/** How many manifests of its repository name this one as their subject. */
export async function countReferrers(db: Executor, repositoryId: number, digest: string): Promise<number> {
  const row = await db.kysely
    .selectFrom('manifests')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('repository_id', '=', repositoryId)
    .where('subject', '=', digest)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}
