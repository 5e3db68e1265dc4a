// Bytes by digest. A store knows nothing of repositories, tags or rights: those are facts, and live in the Db.
//
//   <root>/docker/registry/v2/blobs/sha256/<first 2 hex>/<hex>/data      one file a blob, registry:2's own path
//   <root>/stowage/uploads/<id>                                          bytes of an open upload
//
// Every digest given to a store is a sha256: another algorithm is an alias, resolved in the Db.
import type { Digest } from '#oci/digest.ts'

export interface BlobStat {
  /** Bytes. */
  readonly size: number
  /** When the bytes were last written, in milliseconds since 1970. */
  readonly modifiedAt: number
}

/** An open blob. It stays readable until closed, also when the blob is deleted meanwhile. */
export interface BlobReader {
  readonly size: number
  readonly modifiedAt: number
  /**
   * The bytes from start (inclusive) to end (exclusive), in order. A chunk is lent: it is valid until the next one is
   * asked for, then its memory is used again. Memory per reader is constant.
   * @throws when the file ends before `end`
   */
  chunks(start?: number, end?: number): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

export interface BlobStore {
  stat(digest: Digest): Promise<BlobStat | undefined>
  /** `partly`: only ranges will be asked for. A store that has to fetch them then does not begin with the whole. */
  open(digest: Digest, partly?: boolean): Promise<BlobReader | undefined>
  /** The whole blob when it is at most maxBytes, which the caller bounds; undefined when absent or larger. */
  read(digest: Digest, maxBytes: number): Promise<Buffer | undefined>
  /**
   * Stores bytes that the caller has hashed. Durable when it resolves (file and folders synced).
   * @throws OciError STORAGE_FULL
   */
  put(digest: Digest, bytes: Uint8Array): Promise<void>
  /** True when there was something to delete. */
  delete(digest: Digest): Promise<boolean>
}

/** A row of bytes that grows. One writer at a time: the caller sees to that. */
export interface UploadWriter {
  /** Bytes accepted so far, those of earlier writers included. */
  readonly offset: number
  /**
   * Takes a chunk, which belongs to the writer from then on, and whose memory is freed once it is written; a returned promise means: wait for it before the next chunk.
   * Rejects when the disk refused, with OciError STORAGE_FULL when it is full.
   */
  write(chunk: Uint8Array): Promise<void> | undefined
  /**
   * Hands everything to the operating system, so that it survives the death of this process, and closes. Until then the
   * bytes may be absent from the store. Rejects when bytes were lost, with the error that write rejected with or would have;
   * a second call gives the same answer.
   */
  close(): Promise<void>
}

/** The bytes of open uploads. Ids are made by us: [a-zA-Z0-9_-], at most 64 characters. */
export interface UploadStore {
  /** Bytes present, undefined when there are none of that id. */
  size(id: string): Promise<number | undefined>
  /**
   * Opens at an offset and drops what stands behind it; offset 0 creates, at the latest when the writer is closed.
   * `expected`: the whole blob of that digest comes now, at offset 0, and is committed to it or discarded by this process. A
   * store may then write it to its place at once, and need not show it as an upload, nor keep it when it breaks off.
   * @throws OciError UPLOAD_OUT_OF_ORDER when fewer bytes than offset are there
   */
  append(id: string, offset: number, expected?: Digest): Promise<UploadWriter>
  /** The bytes so far, for hashing them again after a restart. */
  openUpload(id: string): Promise<BlobReader | undefined>
  /**
   * Makes the upload the blob of that digest, which the caller has computed from these bytes. Durable when it resolves.
   * Replaces bytes that are there already: what was just hashed is known to be good. When the bytes cannot be made
   * durable the upload is dropped, since trying again would not tell the truth.
   * @throws OciError BLOB_UPLOAD_UNKNOWN when there is no upload of that id, STORAGE_FULL
   */
  commit(id: string, digest: Digest): Promise<void>
  /** Drops an upload; absent is fine. */
  discard(id: string): Promise<void>
  /** Every id that has bytes, with their age, for the sweeper. */
  list(): AsyncIterable<{ readonly id: string; readonly modifiedAt: number }>
}

/** A store of bytes that uploads can grow in. */
export type BlobStorage = BlobStore & UploadStore

/** Extra power: what a store holds altogether, for gc, scrub and adoption. */
export interface Listing {
  /** Every blob of the store, in no order. Junk beside them is passed over. */
  blobs(): AsyncIterable<{ readonly digest: Digest; readonly size: number; readonly modifiedAt: number }>
}

export function isListing<T extends object>(store: T): store is T & Listing {
  return 'blobs' in store
}

/** Extra power: addresses by which anybody can get bytes from where they lie, past us. */
export interface Redirecting {
  /** Of a blob that is there; good for so many seconds. */
  urlFor(digest: Digest, expiresInSec: number): Promise<URL>
}

export function isRedirecting(store: object): store is Redirecting {
  return 'urlFor' in store
}

/** Extra power: two places for a blob, of which the second costs less to keep and more to read. */
export interface Tiering {
  /** Blobs that have a copy in the first place, in no order. */
  hotBlobs(): ReturnType<Listing['blobs']>
  /** Blobs that have one in the second. */
  coldBlobs(): ReturnType<Listing['blobs']>
  /** Leaves the blob in the second place alone. False when it was not in the first, or has to stay there. */
  demote(digest: Digest): Promise<boolean>
  /** Gives it a copy in the first. False when it is nowhere. */
  promote(digest: Digest): Promise<boolean>
}

export function isTiering(store: object): store is Tiering {
  return 'demote' in store
}

/** Extra power: keeps bytes that are not what they are called, for whoever wants to know why. */
export interface Quarantining {
  /**
   * Sets the bytes of a blob aside. Resolves to where they are; undefined when there are none, or they are good after all: then
   * nothing is changed. `at` tells several of one digest from each other.
   */
  quarantine(digest: Digest, at: number): Promise<string | undefined>
}

export function isQuarantining(store: object): store is Quarantining {
  return 'quarantine' in store
}

/** Extra power: several copies of a blob, of which one can replace another. */
export interface Mending {
  /** Replaces what does not have its digest, or is absent where it was, by a copy that does. False when there is none, or nothing to mend. */
  mend(digest: Digest): Promise<boolean>
}

export function isMending(store: object): store is Mending {
  return 'mend' in store
}

/** Extra power: what a death left that has no id of an upload. */
export interface Sweeping {
  /** Removes what was begun before a time, milliseconds since 1970; resolves to how much there was. */
  sweep(before: number): Promise<number>
}

export function isSweeping(store: object): store is Sweeping {
  return 'sweep' in store
}
