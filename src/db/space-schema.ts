// The tables of what may be deleted and what may come back, as Kysely sees them.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

/** Content that a manifest refers to and that was not stored when it was pushed, or was lost since. */
export interface ManifestMissingTable {
  manifest_id: Fixed<number>
  digest: Fixed<string>
}

/** Manifests that were deleted and can be restored. */
export interface DeletedManifestTable {
  id: Generated<number>
  repository_id: Fixed<number>
  digest: Fixed<string>
  blob_id: Fixed<number>
  media_type: Fixed<string>
  deleted_at: number
  deleted_by: string | null
}

/** What such a manifest needs to come back: its own bytes, config, layers, and blobs that an index lists. */
export interface DeletedManifestBlobTable {
  deleted_id: Fixed<number>
  blob_id: Fixed<number>
}

export interface SpaceTables {
  manifest_missing: ManifestMissingTable
  deleted_manifests: DeletedManifestTable
  deleted_manifest_blobs: DeletedManifestBlobTable
}
