// A place in memory: for tests, and for artifacts that are made up on the spot.
import { ClientError } from '#client/client-error.ts'
import { readLinks } from '#client/graph.ts'
import {
  type BlobContent,
  type CallOptions,
  isManifestType,
  type ManifestContent,
  type PushManifestOptions,
  type PushOutcome,
  type ReadablePlace,
  type Referring,
  type TagListing,
  type WritablePlace,
} from '#client/place.ts'
import { readBlob, type VerifiedSource, verified } from '#client/verify.ts'
import { type ByteSource, sourceOf } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import type { Reference, Tag } from '#oci/reference.ts'

export const MEMORY_BLOB_BYTES_MAX = 256 * 1024 * 1024

export class MemoryPlace implements ReadablePlace, WritablePlace, Referring, TagListing {
  readonly label = 'memory'
  readonly #blobs = new Map<Digest, Buffer>()
  readonly #manifests = new Map<Digest, ManifestContent>()
  readonly #tags = new Map<Tag, Digest>()

  async resolve(reference: Reference | undefined): Promise<Descriptor | undefined> {
    return (await this.manifest(reference))?.descriptor
  }

  async manifest(reference: Reference | undefined): Promise<ManifestContent | undefined> {
    if (reference === undefined) {
      const [only, ...others] = new Set(this.#tags.values())
      return others.length > 0 || only === undefined ? undefined : this.#manifests.get(only)
    }
    const digest = reference.digest ?? this.#tags.get(reference.tag)
    return digest && this.#manifests.get(digest)
  }

  blob(descriptor: Descriptor, options: CallOptions = {}): VerifiedSource {
    return verified(descriptor, this.blobFrom(descriptor, 0, options), this.label)
  }

  blobFrom(descriptor: Descriptor, start: number, { signal }: CallOptions = {}): ByteSource {
    return async (sink) => {
      signal?.throwIfAborted()
      const bytes = this.#blobs.get(descriptor.digest)
      if (!bytes) throw new ClientError('not-found', `memory does not have ${descriptor.digest}`)
      await sourceOf(bytes.subarray(start))(sink)
    }
  }

  async has({ digest, mediaType }: Descriptor): Promise<boolean> {
    return isManifestType(mediaType) ? this.#manifests.has(digest) : this.#blobs.has(digest)
  }

  async pushBlob(descriptor: Descriptor, content: BlobContent): Promise<PushOutcome> {
    if (this.#blobs.has(descriptor.digest)) return 'present'
    this.#blobs.set(descriptor.digest, await readBlob(content.whole(), descriptor, MEMORY_BLOB_BYTES_MAX))
    return 'copied'
  }

  async pushManifest(manifest: ManifestContent, { tag }: PushManifestOptions = {}): Promise<void> {
    this.#manifests.set(manifest.descriptor.digest, manifest)
    if (tag) this.#tags.set(tag, manifest.descriptor.digest)
  }

  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = []
    for (const manifest of this.#manifests.values()) {
      const links = readLinks(manifest)
      if (links.subject?.digest !== subject) continue
      found.push({
        ...manifest.descriptor,
        ...(links.artifactType ? { artifactType: links.artifactType } : {}),
        ...(links.annotations ? { annotations: links.annotations } : {}),
      })
    }
    return found
  }

  async *tags(): AsyncGenerator<Tag> {
    yield* [...this.#tags.keys()].sort()
  }
}
