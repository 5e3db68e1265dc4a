// Manifests that were deleted and can be restored: rows of their own, so that nobody who asks for manifests sees them.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

export interface DeletedManifestRecord {
  readonly id: number
  readonly digest: Digest
  /** sha256 of its bytes. */
  readonly blobDigest: Digest
  readonly mediaType: string
  readonly size: number
  /** Milliseconds since 1970. */
  readonly deletedAt: number
  readonly deletedBy: string | null
}

const COLUMNS = [
  'd.id',
  'd.digest',
  'b.digest as blobDigest',
  'd.media_type as mediaType',
  'b.size',
  'd.deleted_at as deletedAt',
  'd.deleted_by as deletedBy',
] as const

const drop = hot<{ repositoryId: number; digest: string }>()((db, p) =>
  db
    .deleteFrom('deleted_manifests')
    .where('repository_id', '=', p.repositoryId)
    .where('digest', '=', p.digest),
)

/** Ids of the blobs that a manifest needs: its own bytes, config, layers, and what an index lists. */
export async function blobsOfManifest(db: Executor, manifestId: number): Promise<number[]> {
  const rows = await db.kysely
    .selectFrom('manifest_blobs')
    .select('blob_id as id')
    .where('manifest_id', '=', manifestId)
    .union((union) =>
      union.selectFrom('manifests').select('blob_id as id').where('manifests.id', '=', manifestId),
    )
    .union((union) =>
      union
        .selectFrom('manifest_children as c')
        .innerJoin('blobs as b', 'b.digest', 'c.digest')
        .select('b.id')
        .where('c.manifest_id', '=', manifestId),
    )
    .execute()
  return rows.map(({ id }) => id)
}

/** Keeps what a manifest needs, before its row is deleted. */
export async function keepDeleted(
  tx: Transaction,
  manifest: { readonly id: number; readonly blobIds: readonly number[] },
  { by, now }: { readonly by: string | null; readonly now: number },
): Promise<void> {
  const row = await tx.kysely
    .insertInto('deleted_manifests')
    .columns(['repository_id', 'digest', 'blob_id', 'media_type', 'deleted_at', 'deleted_by'])
    .expression((query) =>
      query
        .selectFrom('manifests')
        .select((select) => [
          'repository_id',
          'digest',
          'blob_id',
          'media_type',
          select.cast<number>(select.val(now), 'bigint').as('deleted_at'),
          select.cast<string | null>(select.val(by), 'text').as('deleted_by'),
        ])
        .where('id', '=', manifest.id),
    )
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'digest']).doUpdateSet({ deleted_at: now, deleted_by: by }),
    )
    .returning('id')
    .executeTakeFirst()
  if (!row) return
  for (const blobId of manifest.blobIds)
    await tx.kysely
      .insertInto('deleted_manifest_blobs')
      .values({ deleted_id: row.id, blob_id: blobId })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
}

/** It was pushed again, or restored. */
export async function dropDeleted(tx: Transaction, repositoryId: number, digest: Digest): Promise<void> {
  await tx.run(drop, { repositoryId, digest })
}

function rows(db: Executor, repository: string, since: number) {
  return db.kysely
    .selectFrom('deleted_manifests as d')
    .innerJoin('repositories as r', 'r.id', 'd.repository_id')
    .innerJoin('blobs as b', 'b.id', 'd.blob_id')
    .select(COLUMNS)
    .where('r.name', '=', repository)
    .where('d.deleted_at', '>', since)
}

/** Deleted after a time. */
export async function findDeleted(
  db: Executor,
  repository: string,
  digest: Digest,
  since: number,
): Promise<DeletedManifestRecord | undefined> {
  const row = await rows(db, repository, since).where('d.digest', '=', digest).executeTakeFirst()
  return row as DeletedManifestRecord | undefined
}

/** By digest, after `last`. */
export async function deletedPage(
  db: Executor,
  repository: string,
  page: { readonly since: number; readonly last: string; readonly limit: number },
): Promise<DeletedManifestRecord[]> {
  const found = await rows(db, repository, page.since)
    .where('d.digest', '>', page.last)
    .orderBy('d.digest')
    .limit(page.limit)
    .execute()
  return found as DeletedManifestRecord[]
}

/** Ids of the blobs that a deleted manifest needs, its own bytes among them. */
export async function blobsOfDeleted(db: Executor, deletedId: number): Promise<number[]> {
  const found = await db.kysely
    .selectFrom('deleted_manifest_blobs')
    .select('blob_id as id')
    .where('deleted_id', '=', deletedId)
    .execute()
  return found.map(({ id }) => id)
}

/** Gives up what was deleted at or before a time, at most `limit`; resolves to how many. */
export async function expireDeleted(tx: Transaction, before: number, limit: number): Promise<number> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('deleted_manifests')
    .where('id', 'in', (query) =>
      query
        .selectFrom('deleted_manifests')
        .select('id')
        .where('deleted_at', '<=', before)
        .orderBy('deleted_at')
        .limit(limit),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}
