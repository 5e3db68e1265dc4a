// copy(source, destination): push, pull, mirror and export are all this. It walks the graph of an image, skips what the
// destination has, and sends a manifest only after all it needs.
import { BlobMover } from '#client/blob-mover.ts'
import { ClientError } from '#client/client-error.ts'
import type { CopyEvent, CopyOptions, CopyResult } from '#client/copy-options.ts'
import { type ManifestLinks, readLinks } from '#client/graph.ts'
import {
  isManifestType,
  isReferring,
  type ManifestContent,
  type ReadablePlace,
  type WritablePlace,
} from '#client/place.ts'
import { choosePlatform, formatPlatform } from '#client/platform-choice.ts'
import { verifyBytes } from '#client/verify.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'
import { isIndexType } from '#oci/media-types.ts'
import { formatReference, isTag } from '#oci/reference.ts'

/** Indexes may nest; an honest one does so once or twice. */
const DEPTH_MAX = 16
const MANIFESTS_MAX = 100_000
/** Of the manifests that wait for what they need. */
const MANIFEST_BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024
/** Manifests of one copy that are walked at once. They wait for their blobs without holding a connection. */
const SIBLINGS_MAX = 8
/** cosign's own tags, older than the referrers API: `sha256-<hex>.sig`. */
const SIGNATURE_SUFFIXES = ['.sig', '.att', '.sbom'] as const

/**
 * Copies an image, an index or an artifact. What was copied before a failure stays: a second run goes on from there.
 * A destination that is Finishing must be finished, or discarded, by the caller.
 * @throws ClientError; the reason of the signal
 */
export async function copy(
  source: ReadablePlace,
  destination: WritablePlace,
  options: CopyOptions = {},
): Promise<CopyResult> {
  // The first failure ends the other transfers too; nothing of this copy runs on when it has thrown.
  const ending = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, ending.signal]) : ending.signal
  const walk = new Walk(source, destination, options, signal)
  try {
    return await walk.run()
  } catch (error) {
    ending.abort(error)
    await walk.settled()
    throw error
  }
}

class Walk {
  readonly #source: ReadablePlace
  readonly #destination: WritablePlace
  readonly #options: CopyOptions
  readonly #signal: AbortSignal
  readonly #blobs: BlobMover
  readonly #manifests = new Map<Digest, Promise<void>>()
  #manifestBytes = 0
  #manifestsCopied = 0
  #manifestsSkipped = 0
  #referrers = 0

  constructor(source: ReadablePlace, destination: WritablePlace, options: CopyOptions, signal: AbortSignal) {
    this.#source = source
    this.#destination = destination
    this.#options = options
    this.#signal = signal
    this.#blobs = new BlobMover(source, destination, options, signal)
  }

  async run(): Promise<CopyResult> {
    const root = (await this.#unchangedRoot()) ?? (await this.#copyRoot())
    const { counts } = this.#blobs
    return {
      root,
      copied: counts.copied,
      mounted: counts.mounted,
      skipped: counts.present,
      leftOut: counts['left-out'],
      manifestsCopied: this.#manifestsCopied,
      manifestsSkipped: this.#manifestsSkipped,
      referrers: this.#referrers,
    }
  }

  /** Resolves when nothing of this copy is under way any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#manifests.values(), this.#blobs.settled()])
  }

  /**
   * The root when every tag stands for it already. A tag was set after all that it needs, so the rest need not be looked
   * at: that makes a second run of a mirror cheap, one HEAD for each side.
   */
  async #unchangedRoot(): Promise<Descriptor | undefined> {
    const { tags = [], reference, platform, referrers } = this.#options
    if (tags.length === 0 || platform || referrers) return undefined
    const call = { signal: this.#signal }
    const there: (Descriptor | undefined)[] = []
    for (const tag of tags) {
      const found = await this.#destination.resolve({ tag }, call)
      if (!found || (there[0] && there[0].digest !== found.digest)) return undefined
      there.push(found)
    }
    const here = await this.#source.resolve(reference, call)
    if (!here || here.digest !== there[0]?.digest) return undefined
    this.#manifestsSkipped += 1
    this.#tell({ type: 'manifest-end', descriptor: here, outcome: 'present' })
    return here
  }

  async #copyRoot(): Promise<Descriptor> {
    const root = await this.#chooseRoot()
    const { tags = [] } = this.#options
    await this.#manifest(root.descriptor, 0, root)
    for (const tag of tags) await this.#destination.pushManifest(root, { tag, signal: this.#signal })
    if (tags.length === 0) await this.#ensureRoot(root)
    if (this.#options.referrers) await this.#copyReferrers()
    return root.descriptor
  }

  async #chooseRoot(): Promise<ManifestContent> {
    const { reference, platform } = this.#options
    const root = await this.#source.manifest(reference, { signal: this.#signal })
    if (!root) throw this.#missing(reference ? formatReference(reference) : 'an image')
    if (!platform || !isIndexType(root.descriptor.mediaType)) return root
    const { manifests } = readLinks(root)
    const chosen = choosePlatform(manifests, platform)
    if (!chosen) {
      const offered = manifests
        .map((entry) => entry.platform && formatPlatform(entry.platform))
        .filter(Boolean)
      throw new ClientError(
        'not-found',
        `${this.#source.label} has no image for ${formatPlatform(platform)}`,
        {
          hint: `it has ${offered.join(', ') || 'no platforms'}`,
        },
      )
    }
    return await this.#fetch(chosen)
  }

  /** A root without a tag was pushed by digest in its turn; a tagged one only just now. */
  async #ensureRoot(root: ManifestContent): Promise<void> {
    if (!(await this.#destination.has(root.descriptor, { signal: this.#signal }))) {
      await this.#destination.pushManifest(root, { signal: this.#signal })
    }
  }

  #manifest(descriptor: Descriptor, depth: number, content?: ManifestContent): Promise<void> {
    const known = this.#manifests.get(descriptor.digest)
    if (known) return known
    if (this.#manifests.size >= MANIFESTS_MAX) {
      return Promise.reject(new ClientError('limit', `an index with more than ${MANIFESTS_MAX} manifests`))
    }
    const work = this.#copyManifest(descriptor, depth, content)
    // It is awaited by whoever asked; the map only keeps it for those who come later.
    work.catch(() => {})
    this.#manifests.set(descriptor.digest, work)
    return work
  }

  async #copyManifest(
    descriptor: Descriptor,
    depth: number,
    given: ManifestContent | undefined,
  ): Promise<void> {
    if (depth > DEPTH_MAX) throw new ClientError('limit', `indexes nested more than ${DEPTH_MAX} deep`)
    this.#signal.throwIfAborted()
    const present = await this.#destination.has(descriptor, { signal: this.#signal })
    // An image that is there had all it needs when it was pushed. An index may have been pushed sparse: look below it.
    if (!present || isIndexType(descriptor.mediaType)) {
      const content = given ?? (await this.#fetch(descriptor))
      this.#hold(content.bytes.byteLength)
      await this.#children(readLinks(content), depth)
      const tagged = given !== undefined && depth === 0 && (this.#options.tags?.length ?? 0) > 0
      if (!present && !tagged) await this.#destination.pushManifest(content, { signal: this.#signal })
      this.#hold(-content.bytes.byteLength)
    }
    if (present) this.#manifestsSkipped += 1
    else this.#manifestsCopied += 1
    this.#tell({ type: 'manifest-end', descriptor, outcome: present ? 'present' : 'copied' })
  }

  #hold(bytes: number): void {
    this.#manifestBytes += bytes
    if (this.#manifestBytes > MANIFEST_BYTES_IN_FLIGHT_MAX) {
      const what = `indexes of more than ${MANIFEST_BYTES_IN_FLIGHT_MAX} bytes within each other`
      throw new ClientError('limit', what)
    }
  }

  async #children(links: ManifestLinks, depth: number): Promise<void> {
    await each(links.manifests, SIBLINGS_MAX, async (child) => {
      if (isManifestType(child.mediaType)) await this.#manifest(child, depth + 1)
      // An index may also name things that are no manifests.
      else await this.#blobs.move(child)
    })
    await Promise.all(links.blobs.map((blob) => this.#blobs.move(blob)))
  }

  /**
   * What refers to the manifests so far, and what refers to that, until there is no more. It comes after them, because a
   * referrer may itself be an index that lists its subject.
   */
  async #copyReferrers(): Promise<void> {
    const asked = new Set<Digest>()
    for (;;) {
      const subjects = [...this.#manifests.keys()].filter((digest) => !asked.has(digest))
      if (subjects.length === 0) return
      await each(subjects, SIBLINGS_MAX, async (subject) => {
        asked.add(subject)
        await this.#copyReferrersOf(subject)
      })
    }
  }

  async #copyReferrersOf(subject: Digest): Promise<void> {
    const call = { signal: this.#signal }
    const found = isReferring(this.#source) ? await this.#source.referrers(subject, call) : []
    for (const referrer of found) {
      if (!this.#manifests.has(referrer.digest)) this.#referrers += 1
      await this.#manifest(referrer, 0)
    }
    for (const suffix of SIGNATURE_SUFFIXES) {
      const tag = `${algorithmOf(subject)}-${encodedOf(subject)}${suffix}`
      if (!isTag(tag)) continue
      const signature = await this.#source.manifest({ tag }, call)
      if (!signature) continue
      if (!this.#manifests.has(signature.descriptor.digest)) this.#referrers += 1
      await this.#manifest(signature.descriptor, 0)
      const there = await this.#destination.resolve({ tag }, call)
      if (there?.digest !== signature.descriptor.digest) {
        await this.#destination.pushManifest(signature, { tag, ...call })
      }
    }
  }

  async #fetch(descriptor: Descriptor): Promise<ManifestContent> {
    const content = await this.#source.manifest({ digest: descriptor.digest }, { signal: this.#signal })
    if (!content) throw this.#missing(descriptor.digest)
    // The type is that of whoever points at it: the digest says nothing of types.
    const named = { ...content, descriptor: { ...content.descriptor, mediaType: descriptor.mediaType } }
    verifyBytes({ ...named.descriptor, size: descriptor.size }, content.bytes, this.#source.label)
    return named
  }

  #missing(what: string): ClientError {
    return new ClientError('not-found', `${this.#source.label} does not have ${what}`)
  }

  #tell(event: CopyEvent): void {
    this.#options.onProgress?.(event)
  }
}

/** Runs work for each item, at most `width` at once. The first failure ends it. */
async function each<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  const worker = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
}
