// The registry: a record of collaborators. Every operation is a function over it, in the file of its noun.
import type { BlobStorage, Redirecting } from '#blobs/store.ts'
import type { Db } from '#db/db.ts'
import type { ReadRecorder } from '#events/reads.ts'
import type { KeyedMutex } from '#lib/keyed-mutex.ts'
import type { Lru } from '#lib/lru.ts'
import type { UrlPolicy } from '#oci/url-policy.ts'
import type { Guard } from '#registry/guards.ts'
import type { LiveUploads } from '#registry/live-uploads.ts'
import type { OpenUploads } from '#registry/open-uploads.ts'
import type { UploadClaims } from '#registry/upload-claims.ts'
import type { Upstream } from '#registry/upstream.ts'
import type { Log } from '#telemetry/log.ts'

/** Small content is kept in memory, whole: manifests and configs. */
export const CACHED_CONTENT_BYTES_MAX = 256 * 1024
export const CONTENT_CACHE_BYTES_MAX = 32 * 1024 * 1024
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024

export interface RegistrySettings {
  /** Whether a manifest may be pushed before everything it refers to. */
  readonly sparse: boolean
  /** Which platforms of an index must be present; undefined: all of them. */
  readonly indexPlatforms?: readonly { readonly os: string; readonly architecture: string }[] | undefined
  /** Which `urls` a descriptor may carry; undefined: every http and https URL. */
  readonly urls?: UrlPolicy | undefined
  /** Findings of the validation do not stop a push (registry:2's `validation.disabled`). */
  readonly validationDisabled: boolean
  readonly openUploadsMax: number
  /** How long what was deleted can be restored; 0 for not at all. */
  readonly deletedWindowMs: number
  /** What is younger may belong to a push that is under way. */
  readonly graceMs: number
  readonly tagsPageMax: number
  readonly catalogPageMax: number
}

export interface Registry {
  readonly db: Db
  readonly storage: BlobStorage
  /** Gives addresses to get blobs from; undefined where every byte passes through us. */
  readonly redirecting?: Redirecting | undefined
  readonly guards: readonly Guard[]
  readonly upstreams: readonly Upstream[]
  readonly settings: RegistrySettings
  readonly reads: ReadRecorder
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** A fresh, unguessable id of [a-zA-Z0-9-]. */
  readonly newId: () => string
  /** Called after a transaction that recorded events. */
  readonly announce: () => void
  readonly live: LiveUploads
  /** Which request of which process writes to an upload. */
  readonly claims: UploadClaims
  /** The open sessions, counted against `openUploadsMax`. */
  readonly openUploads: OpenUploads
  /** The run of this system, where other processes of it write uploads too; empty otherwise. */
  readonly boot: string
  /** Content by the sha256 of its bytes. Rights and presence are never read from it. */
  readonly content: Lru<string, Buffer>
  /** One verification of a blob at a time. */
  readonly verifying: KeyedMutex<string>
}
