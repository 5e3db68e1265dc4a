// What can have happened. Past tense: an event is recorded with the write it tells of, or after the reply it tells of.

/** Recorded in the transaction of the write. */
export const WRITE_KINDS = [
  'blob.pushed',
  'blob.mounted',
  'blob.deleted',
  'manifest.pushed',
  'manifest.deleted',
  'tag.deleted',
  'repository.deleted',
  /** Most of a quota is used since this push. `size` is the bytes that are used now. */
  'quota.warned',
  /** Stored bytes of it were found not to have its digest, or gone: it is to be pushed again. */
  'blob.corrupted',
] as const

/** Recorded in batches after the reply; a crash may lose the last few. */
export const READ_KINDS = ['blob.pulled', 'manifest.pulled'] as const

export type WriteKind = (typeof WRITE_KINDS)[number]
export type ReadKind = (typeof READ_KINDS)[number]

/** What the event is about; who and when come from the caller. */
export interface Fact {
  readonly repository: string
  readonly digest?: string | undefined
  /** One event a tag: a manifest that is pushed under two tags makes two. */
  readonly tag?: string | undefined
  readonly mediaType?: string | undefined
  /** Bytes: of the content for a write, sent to the client for a read. */
  readonly size?: number | undefined
  /** Source of a mount. */
  readonly fromRepository?: string | undefined
  /** Milliseconds that the reply took. */
  readonly durationMs?: number | undefined
}
