// The manifests of one repository and what ties them together, for whoever decides what stays.
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

export interface GraphManifest {
  readonly id: number
  readonly digest: Digest
  readonly subject: Digest | null
  readonly mediaType: string
  readonly artifactType: string | null
  readonly size: number
  readonly createdAt: number
}

export interface GraphTag {
  readonly name: string
  readonly manifestId: number
  /** When it was pushed last, milliseconds since 1970. */
  readonly updatedAt: number
}

export interface RepositoryGraph {
  readonly manifests: readonly GraphManifest[]
  readonly tags: readonly GraphTag[]
  /** Digests that an index lists, by its id. */
  readonly children: ReadonlyMap<number, readonly Digest[]>
}

export async function repositoryGraph(db: Executor, repositoryId: number): Promise<RepositoryGraph> {
  const manifests = await db.kysely
    .selectFrom('manifests')
    .select([
      'id',
      'digest',
      'subject',
      'media_type as mediaType',
      'artifact_type as artifactType',
      'size',
      'created_at as createdAt',
    ])
    .where('repository_id', '=', repositoryId)
    .orderBy('id')
    .execute()
  const tags = await db.kysely
    .selectFrom('tags')
    .select(['name', 'manifest_id as manifestId', 'updated_at as updatedAt'])
    .where('repository_id', '=', repositoryId)
    .orderBy('name')
    .execute()
  const pairs = await db.kysely
    .selectFrom('manifest_children as c')
    .innerJoin('manifests as m', 'm.id', 'c.manifest_id')
    .select(['c.manifest_id as id', 'c.digest'])
    .where('m.repository_id', '=', repositoryId)
    .execute()
  const children = new Map<number, Digest[]>()
  for (const { id, digest } of pairs) {
    const list = children.get(id) ?? []
    list.push(digest as Digest)
    children.set(id, list)
  }
  return { manifests: manifests as GraphManifest[], tags, children }
}

/** Whether an index of the repository lists it, or a manifest of the repository is its subject. */
export async function isTied(
  db: Executor,
  repositoryId: number,
  { digest, subject }: Pick<GraphManifest, 'digest' | 'subject'>,
): Promise<boolean> {
  const parent = await db.kysely
    .selectFrom('manifest_children as c')
    .innerJoin('manifests as m', 'm.id', 'c.manifest_id')
    .select('m.id')
    .where('c.digest', '=', digest)
    .where('m.repository_id', '=', repositoryId)
    .limit(1)
    .executeTakeFirst()
  if (parent) return true
  if (subject === null) return false
  const found = await db.kysely
    .selectFrom('manifests')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', subject)
    .executeTakeFirst()
  return found !== undefined
}

/** When manifests of the repository were deleted, by digest: those that can be restored still. */
export async function deletionsIn(
  db: Executor,
  repositoryId: number,
  since: number,
): Promise<ReadonlyMap<string, number>> {
  const rows = await db.kysely
    .selectFrom('deleted_manifests')
    .select(['digest', 'deleted_at as at'])
    .where('repository_id', '=', repositoryId)
    .where('deleted_at', '>', since)
    .execute()
  return new Map(rows.map(({ digest, at }) => [digest, Number(at)]))
}

export interface RepositoryName {
  readonly id: number
  readonly name: string
  readonly project: string
}

/** Repositories by id, after one. */
export function repositoriesAfter(db: Executor, after: number, limit: number): Promise<RepositoryName[]> {
  return db.kysely
    .selectFrom('repositories')
    .select(['id', 'name', 'project'])
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
}
