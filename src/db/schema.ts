// The tables, as Kysely sees them. Times are milliseconds since 1970, sizes are bytes, digests are `algorithm:hex`.
import type { ColumnType, Generated } from 'kysely'
import type { AccessTables } from '#db/access-schema.ts'
import type { AuditTables } from '#db/audit-schema.ts'
import type { AuthorizationTables } from '#db/authorization-schema.ts'
import type { IdentityTables } from '#db/identity-schema.ts'
import type { JobTables } from '#db/job-schema.ts'
import type { SpaceTables } from '#db/space-schema.ts'
import type { WebhookTables } from '#db/webhook-schema.ts'

/** Never updated after the insert. */
type Fixed<T> = ColumnType<T, T, never>

export interface RepositoryTable {
  id: Generated<number>
  name: Fixed<string>
  created_at: Fixed<number>
  /** 1 once a manifest was pushed: what `_catalog` lists. */
  listed: number
  /** The project that its name begins with, whether there is such a project or not. */
  project: ColumnType<string, string | undefined, string>
}

export interface BlobTable {
  id: Generated<number>
  /** Always sha256: the name of the file. */
  digest: Fixed<string>
  size: number
  created_at: Fixed<number>
  /** When the bytes were last known to hash to the digest; null for bytes that another program wrote. */
  verified_at: number | null
  /** Since when nothing was seen to need it; null while it lives. Whoever needs it after all sets it to null. */
  condemned_at: ColumnType<number | null, number | null | undefined, number | null>
  /** Since when its bytes are deleted: from then on nobody can take it back. 0 before that. */
  deleting: ColumnType<number, number | undefined, number>
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
  /** Id of the user; null for a robot, a nameless client, or work of our own. */
  pushed_by: Fixed<number | null | undefined>
  /** Since when no manifest of the repository was seen to need it; null while one does, or might soon. */
  condemned_at: ColumnType<number | null, number | null | undefined, number | null>
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
  /** As of a link. */
  pushed_by: Fixed<number | null | undefined>
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
  /** How often a request took the session to write to it: what tells a later one from an earlier one. */
  claims: Generated<number>
  /** The claim that began the file which holds the bytes; 0 for the first file. */
  begun: Generated<number>
  /** The process whose request writes now; null when none does. */
  writer: string | null
  /** The run of the system in which `digest` was computed; null when unknown. */
  boot: string | null
}

/** Work that one process does for all: whoever holds the lease. */
export interface LeaseTable {
  name: Fixed<string>
  holder: string
  expires_at: number
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
  method: Fixed<string | null>
  origin: Fixed<string | null>
}

/** How far a subscriber of the events has come. */
export interface CursorTable {
  name: Fixed<string>
  position: number
  /** The process that delivers, and until when by the clock of the database. */
  holder: string | null
  held_until: number | null
}

export interface SettingTable {
  key: Fixed<string>
  value: string
}

/** A client that has used up some of a rate. */
export interface RateUseTable {
  /** The rate, and whose it is. */
  key: Fixed<string>
  /** When all of it is forgotten, milliseconds since 1970, by the clock of the database. */
  free_at: number
}

/** What a list of repositories is sorted by: derived from the other tables a little later. */
export interface RepositoryFigureTable {
  repository_id: Fixed<number>
  /** Bytes of its blobs and manifests, each counted once. */
  size: number
  tags: number
  manifests: number
  /** When a tag or a manifest was pushed last; 0 for never. */
  pushed_at: number
}

export interface Tables
  extends AccessTables,
    AuditTables,
    JobTables,
    SpaceTables,
    WebhookTables,
    IdentityTables,
    AuthorizationTables {
  repositories: RepositoryTable
  blobs: BlobTable
  blob_aliases: BlobAliasTable
  repository_blobs: RepositoryBlobTable
  manifests: ManifestTable
  manifest_blobs: ManifestBlobTable
  manifest_children: ManifestChildTable
  tags: TagTable
  uploads: UploadTable
  leases: LeaseTable
  events: EventTable
  cursors: CursorTable
  settings: SettingTable
  repository_figures: RepositoryFigureTable
  rate_uses: RateUseTable
}
