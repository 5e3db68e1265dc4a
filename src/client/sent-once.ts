// For many copies into the repositories of one registry: a blob is sent once, and mounted into all others that need it.
import { readLinks } from '#client/graph.ts'
import {
  type BlobContent,
  type CallOptions,
  isManifestType,
  type ManifestContent,
  type Mounting,
  type PushBlobOptions,
  type PushManifestOptions,
  type PushOutcome,
  type ReadablePlace,
  type WritablePlace,
} from '#client/place.ts'
import { BlobWhereabouts } from '#client/whereabouts.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { Mutex } from '#lib/mutex.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import type { Reference, RepositoryName } from '#oci/reference.ts'

type Target = ReadablePlace & WritablePlace & Mounting

/** Manifests that were there already and are read for what they hold: an interrupted run is taken up so. */
const LEARNED_MANIFESTS_MAX = 20_000

export class SentOnce {
  readonly #whereabouts = new BlobWhereabouts()
  /** Two repositories that need a blob at the same time: the second waits, then mounts. */
  readonly #sending = new KeyedMutex<Digest>()
  readonly #learning = new Mutex()
  /** Manifests that the destination had, not read yet. */
  readonly #unread = new Map<string, { readonly place: Target; readonly digest: Digest }>()
  #learned = 0

  /** To be made once for each repository. */
  place(place: Target): WritablePlace & Mounting {
    const here = new Set<Digest>()
    return {
      label: place.label,
      registry: place.registry,
      repository: place.repository,
      resolve: async (reference, options) => this.#seen(place, await place.resolve(reference, options)),
      has: async (descriptor, options) => {
        if (!isManifestType(descriptor.mediaType)) {
          // To mount costs one request, whether it is there or not; to ask first would be another.
          if (here.has(descriptor.digest)) return true
          return !this.#canMount(place, descriptor.digest) && (await place.has(descriptor, options))
        }
        const present = await place.has(descriptor, options)
        if (present) this.#seen(place, descriptor)
        return present
      },
      pushBlob: async (descriptor, content, options) => {
        const outcome = await this.#push(place, descriptor, content, options)
        here.add(descriptor.digest)
        return outcome
      },
      pushManifest: (manifest: ManifestContent, options?: PushManifestOptions) =>
        place.pushManifest(manifest, options),
    }
  }

  #canMount(place: Target, digest: Digest): boolean {
    return this.#whereabouts.find(place.registry, digest, place.repository) !== undefined
  }

  #seen(place: Target, descriptor: Descriptor | undefined): Descriptor | undefined {
    if (descriptor && this.#learned + this.#unread.size < LEARNED_MANIFESTS_MAX) {
      this.#unread.set(`${place.repository}@${descriptor.digest}`, { place, digest: descriptor.digest })
    }
    return descriptor
  }

  #push(
    place: Target,
    descriptor: Descriptor,
    content: BlobContent,
    options: PushBlobOptions = {},
  ): Promise<PushOutcome> {
    const { digest } = descriptor
    return this.#sending.run(digest, async () => {
      const mountFrom = options.mountFrom ?? (await this.#find(place, digest, options))
      const outcome = await place.pushBlob(descriptor, content, { ...options, mountFrom })
      this.#whereabouts.add(place, digest)
      return outcome
    })
  }

  async #find(place: Target, digest: Digest, call: CallOptions): Promise<RepositoryName | undefined> {
    const known = () => this.#whereabouts.find(place.registry, digest, place.repository)
    if (known() === undefined && this.#unread.size > 0) await this.#learning.run(() => this.#learn(call))
    return known()
  }

  async #learn(call: CallOptions): Promise<void> {
    for (const [key, { place, digest }] of this.#unread) {
      this.#unread.delete(key)
      this.#learned += 1
      const reference: Reference = { digest }
      const manifest = await place.manifest(reference, call)
      if (!manifest) continue
      const links = readLinks(manifest)
      for (const blob of links.blobs) this.#whereabouts.add(place, blob.digest)
      for (const child of links.manifests) if (isManifestType(child.mediaType)) this.#seen(place, child)
    }
  }
}
