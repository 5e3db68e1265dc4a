// Where a blob is used: for whoever has to be told that it is gone.
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

export interface Usage {
  readonly repositories: readonly string[]
  /** Of manifests whose own bytes it is: they go with it. */
  readonly tags: readonly { readonly repository: string; readonly tag: string; readonly manifest: Digest }[]
}

/** At most `limit` of each. */
export async function usesOfBlob(db: Executor, blobId: number, limit: number): Promise<Usage> {
  const repositories = await db.kysely
    .selectFrom('repositories as r')
    .select('r.name')
    .where((where) =>
      where.or([
        where('r.id', 'in', (query) =>
          query.selectFrom('repository_blobs').select('repository_id').where('blob_id', '=', blobId),
        ),
        where('r.id', 'in', (query) =>
          query.selectFrom('manifests').select('repository_id').where('blob_id', '=', blobId),
        ),
      ]),
    )
    .orderBy('r.name')
    .limit(limit)
    .execute()
  const tags = await db.kysely
    .selectFrom('manifests as m')
    .innerJoin('tags as t', 't.manifest_id', 'm.id')
    .innerJoin('repositories as r', 'r.id', 'm.repository_id')
    .select(['r.name as repository', 't.name as tag', 'm.digest as manifest'])
    .where('m.blob_id', '=', blobId)
    .orderBy('r.name')
    .orderBy('t.name')
    .limit(limit)
    .execute()
  return {
    repositories: repositories.map(({ name }) => name),
    tags: tags.map(({ repository, tag, manifest }) => ({ repository, tag, manifest: manifest as Digest })),
  }
}
