// The tables, as Kysely sees them. Times are milliseconds since 1970, sizes are bytes, digests are `algorithm:hex`.
import type { ColumnType, Generated } from 'kysely'

/** Never updated after the insert. */
type Fixed<T> = ColumnType<T, T, never>

export interface RepositoryTable {
  id: Generated<number>
  name: Fixed<string>
  created_at: Fixed<number>
  /** 1 once a manifest was pushed: what `_catalog` lists. */
  listed: number
}

export interface BlobTable {
  id: Generated<number>
  /** Always sha256: the name of the file. */
  digest: Fixed<string>
  size: number
  created_at: Fixed<number>
  /** When the bytes were last known to hash to the digest; null for bytes that another program wrote. */
  verified_at: number | null
}

/** A digest in another algorithm of bytes that are stored under their sha256. */
export interface BlobAliasTable {
  digest: Fixed<string>
  blob_id: number
}

/** This repository holds this blob. */
export interface RepositoryBlobTable {
  repository_id: Fixed<number>
  blob_id: Fixed<number>
  created_at: Fixed<number>
}

export interface ManifestTable {
  id: Generated<number>
  repository_id: Fixed<number>
  /** The digest it was pushed by: sha256 or sha512. */
  digest: Fixed<string>
  /** Its bytes. */
  blob_id: Fixed<number>
  media_type: string
  size: Fixed<number>
  artifact_type: string | null
  /** Digest of the manifest that this one refers to. */
  subject: string | null
  /** JSON object of strings; kept only where a subject is, for the referrers list. */
  annotations: string | null
  created_at: Fixed<number>
}

/** Config and layers of a manifest, those that are stored. */
export interface ManifestBlobTable {
  manifest_id: Fixed<number>
  blob_id: Fixed<number>
}

/** Manifests that an index names, present or not. */
export interface ManifestChildTable {
  manifest_id: Fixed<number>
  digest: Fixed<string>
}

export interface TagTable {
  repository_id: Fixed<number>
  name: Fixed<string>
  manifest_id: number
  created_at: Fixed<number>
  updated_at: number
}

export interface UploadTable {
  id: Fixed<string>
  repository: Fixed<string>
  /** Hash that the running value below is in. */
  algorithm: Fixed<string>
  /** Bytes at the end of the last request. */
  size: number
  /** Digest of those bytes, null when unknown. */
  digest: string | null
  /** Who opened it, null when anonymous. */
  actor: Fixed<string | null>
  created_at: Fixed<number>
  updated_at: number
}

export interface EventTable {
  id: Generated<number>
  at: Fixed<number>
  kind: Fixed<string>
  repository: Fixed<string>
  digest: Fixed<string | null>
  tag: Fixed<string | null>
  media_type: Fixed<string | null>
  size: Fixed<number | null>
  /** Source repository of a mount. */
  from_repository: Fixed<string | null>
  actor: Fixed<string | null>
  remote: Fixed<string | null>
  user_agent: Fixed<string | null>
  request_id: Fixed<string | null>
  duration_ms: Fixed<number | null>
}

/** How far a subscriber of the events has come. */
export interface CursorTable {
  name: Fixed<string>
  position: number
}

export interface SettingTable {
  key: Fixed<string>
  value: string
}

export interface Tables {
  repositories: RepositoryTable
  blobs: BlobTable
  blob_aliases: BlobAliasTable
  repository_blobs: RepositoryBlobTable
  manifests: ManifestTable
  manifest_blobs: ManifestBlobTable
  manifest_children: ManifestChildTable
  tags: TagTable
  uploads: UploadTable
  events: EventTable
  cursors: CursorTable
  settings: SettingTable
}
