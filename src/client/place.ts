// Places an image can be: a repository of a registry, a folder, an archive, memory. Small interfaces, extra powers apart.
import type { VerifiedSource } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { isImageType, isIndexType } from '#oci/media-types.ts'
import type { Reference, RepositoryName, Tag } from '#oci/reference.ts'

/** The largest manifest that is read. The spec asks registries to accept 4 MiB. */
export const MANIFEST_BYTES_MAX = 8 * 1024 * 1024

/** A manifest or an index: the bytes, and the descriptor that names them. Whoever makes one has verified it. */
export interface ManifestContent {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface ReadablePlace {
  /** For people: `registry.example/app`, `folder ./out`. */
  readonly label: string
  /** What a reference stands for now; without one, the only image of the place. Undefined when it is absent. */
  resolve(reference: Reference | undefined, options?: CallOptions): Promise<Descriptor | undefined>
  /**
   * The manifest, verified; undefined when it is absent. For a tag this is one request, without `resolve` before it.
   * @throws ClientError corrupt, or limit for one above MANIFEST_BYTES_MAX, before it is read
   */
  manifest(reference: Reference | undefined, options?: CallOptions): Promise<ManifestContent | undefined>
  /** The bytes of a config or layer. Nothing happens before it is called with a sink. @throws ClientError not-found */
  blob(descriptor: Descriptor, options?: CallOptions): VerifiedSource
  /** The same from an offset, for whoever goes on where a transfer broke. Not verified: a part has no digest. */
  blobFrom(descriptor: Descriptor, start: number, options?: CallOptions): ByteSource
}

/** What a place writes a blob from. It may be opened more than once, when a transfer breaks. */
export interface BlobContent {
  whole(): VerifiedSource
  from(start: number): ByteSource
}

export interface PushBlobOptions extends CallOptions {
  /** A repository of the same registry that has the blob. Only a Mounting place makes use of it. */
  readonly mountFrom?: RepositoryName | undefined
}

/** How the blob came to be there: `present` means that somebody else brought it meanwhile. */
export type PushOutcome = 'copied' | 'mounted' | 'present'

export interface PushManifestOptions extends CallOptions {
  /** The tag that shall stand for it; without one it is stored by digest. */
  readonly tag?: Tag | undefined
}

export interface WritablePlace {
  readonly label: string
  resolve(reference: Reference | undefined, options?: CallOptions): Promise<Descriptor | undefined>
  /** True when the place holds this blob or manifest. */
  has(descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  /** Nothing is visible before all of it was verified; nothing is left behind after a failure. */
  pushBlob(descriptor: Descriptor, content: BlobContent, options?: PushBlobOptions): Promise<PushOutcome>
  /** To be called when all that the manifest needs is there. */
  pushManifest(manifest: ManifestContent, options?: PushManifestOptions): Promise<void>
}

/** Extra power: a blob can be linked from another repository of the same registry. */
export interface Mounting {
  /** `host[:port]`: two places mount from each other when it is equal. */
  readonly registry: string
  readonly repository: RepositoryName
}

/** Extra power: who refers to a manifest by `subject`. */
export interface Referring {
  referrers(subject: Digest, options?: CallOptions): Promise<readonly Descriptor[]>
}

/** Extra power: the tags, in the order of the place. */
export interface TagListing {
  tags(options?: CallOptions): AsyncIterable<Tag>
}

/** Extra power: taking things away. False when it was absent. */
export interface Deleting {
  deleteManifest(reference: Reference, options?: CallOptions): Promise<boolean>
  deleteBlob(digest: Digest, options?: CallOptions): Promise<boolean>
}

/** Extra power, rather a duty: a place that becomes visible as a whole. One of the two must be called. */
export interface Finishing {
  finish(options?: CallOptions): Promise<void>
  /** Leaves nothing behind. */
  discard(): Promise<void>
}

export function isMounting(place: object): place is Mounting {
  return 'registry' in place && 'repository' in place
}

export function isReferring(place: object): place is Referring {
  return 'referrers' in place
}

export function isFinishing(place: object): place is Finishing {
  return 'finish' in place
}

/** Anything that is stored behind /manifests/ rather than /blobs/. */
export function isManifestType(mediaType: string): boolean {
  return isImageType(mediaType) || isIndexType(mediaType)
}
