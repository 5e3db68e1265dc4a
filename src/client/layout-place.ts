// An OCI image layout folder as a place, and as a cache that several programs may share. Source: image-spec image-layout.md.
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ClientError } from '#client/client-error.ts'
import { fileSource } from '#client/file-source.ts'
import { manifestContent, readLinks } from '#client/graph.ts'
import {
  absent,
  addToIndex,
  findInIndex,
  LAYOUT_FILE,
  LayoutIndexFile,
  REF_NAME,
  replaceFile,
} from '#client/layout-index.ts'
import { blobPath, isWhole, LayoutIngest } from '#client/layout-ingest.ts'
import {
  type BlobContent,
  type CallOptions,
  isManifestType,
  MANIFEST_BYTES_MAX,
  type ManifestContent,
  type PushManifestOptions,
  type PushOutcome,
  type ReadablePlace,
  type Referring,
  type TagListing,
  type WritablePlace,
} from '#client/place.ts'
import { type VerifiedSource, verified } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import { sourceOf } from '#lib/byte-source.ts'
import { SlabPool } from '#lib/slab.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { isTag, type Reference, type Tag } from '#oci/reference.ts'

export class LayoutPlace implements ReadablePlace, WritablePlace, Referring, TagListing {
  readonly label: string
  readonly #folder: string
  readonly #index: LayoutIndexFile
  readonly #ingest: LayoutIngest
  readonly #slabs = new SlabPool()
  #prepared: Promise<void> | undefined

  /** The folder need not exist: it is made by the first write. */
  constructor(folder: string) {
    this.#folder = folder
    this.label = `layout ${folder}`
    this.#index = new LayoutIndexFile(folder)
    this.#ingest = new LayoutIngest(folder)
  }

  async resolve(reference: Reference | undefined): Promise<Descriptor | undefined> {
    const found = findInIndex(await this.#index.read(), reference, this.label)
    if (found || reference?.digest === undefined) return found
    // A manifest below an index of the layout is not in index.json.
    return (await this.manifest(reference))?.descriptor
  }

  async manifest(reference: Reference | undefined): Promise<ManifestContent | undefined> {
    const named = findInIndex(await this.#index.read(), reference, this.label)
    const digest = named?.digest ?? reference?.digest
    if (digest === undefined) return undefined
    const bytes = await this.#readManifest(digest)
    if (!bytes) return undefined
    return manifestContent(digest, bytes, named?.mediaType, this.label)
  }

  blob(descriptor: Descriptor, { signal }: CallOptions = {}): VerifiedSource {
    return verified(descriptor, this.blobFrom(descriptor, 0, { signal }), this.label)
  }

  blobFrom(descriptor: Descriptor, start: number, { signal }: CallOptions = {}): ByteSource {
    const path = blobPath(this.#folder, descriptor.digest)
    return async (sink) => {
      // The size is checked first, so that a file that was cut short is named before half of it is sent.
      const found = await stat(path).catch(absent)
      if (!found) throw new ClientError('not-found', `${this.label} does not have ${descriptor.digest}`)
      if (found.size !== descriptor.size) {
        throw new ClientError('corrupt', `${path} has ${found.size} bytes instead of ${descriptor.size}`, {
          digest: descriptor.digest,
        })
      }
      await fileSource({ path, start, end: descriptor.size }, this.#slabs, signal)(sink)
    }
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    return await isWhole(blobPath(this.#folder, descriptor.digest), descriptor)
  }

  async pushBlob(
    descriptor: Descriptor,
    content: BlobContent,
    { signal }: CallOptions = {},
  ): Promise<PushOutcome> {
    await this.#prepare()
    return await this.#ingest.run(descriptor, content, signal)
  }

  async pushManifest(manifest: ManifestContent, { tag, signal }: PushManifestOptions = {}): Promise<void> {
    const { descriptor, bytes } = manifest
    await this.#prepare()
    const whole = () => verified(descriptor, sourceOf(bytes), this.label)
    const content = { whole, from: (start: number) => sourceOf(bytes.subarray(start)) }
    await this.#ingest.run(descriptor, content, signal)
    // What refers to something is listed too, or nobody would find it again.
    const listed = tag !== undefined || readLinks(manifest).subject !== undefined
    if (listed) await this.#index.change((index) => addToIndex(index, descriptor, tag), signal)
  }

  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = []
    const seen = new Set<Digest>()
    for (const entry of (await this.#index.read()).manifests) {
      if (seen.has(entry.digest) || !isManifestType(entry.mediaType)) continue
      seen.add(entry.digest)
      const bytes = await this.#readManifest(entry.digest)
      if (!bytes) continue
      const links = readLinks({ descriptor: entry, bytes })
      if (links.subject?.digest !== subject) continue
      found.push({
        mediaType: entry.mediaType,
        digest: entry.digest,
        size: entry.size,
        ...(links.artifactType ? { artifactType: links.artifactType } : {}),
        ...(links.annotations ? { annotations: links.annotations } : {}),
      })
    }
    return found
  }

  async *tags(): AsyncGenerator<Tag> {
    const names = new Set((await this.#index.read()).manifests.map((entry) => entry.annotations?.[REF_NAME]))
    for (const name of names) if (name !== undefined && isTag(name)) yield name
  }

  async #readManifest(digest: Digest): Promise<Buffer | undefined> {
    const path = blobPath(this.#folder, digest)
    const size = (await stat(path).catch(absent))?.size
    if (size === undefined) return undefined
    if (size > MANIFEST_BYTES_MAX) {
      throw new ClientError('limit', `${path} is larger than the ${MANIFEST_BYTES_MAX} bytes of a manifest`, {
        digest,
      })
    }
    return await readFile(path)
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#makeFolder().catch((error: unknown) => {
      this.#prepared = undefined
      throw error
    })
    return this.#prepared
  }

  async #makeFolder(): Promise<void> {
    await mkdir(join(this.#folder, 'blobs'), { recursive: true })
    const marker = join(this.#folder, 'oci-layout')
    if (!(await stat(marker).catch(absent))) await replaceFile(this.#folder, marker, LAYOUT_FILE)
    if (!(await stat(join(this.#folder, 'index.json')).catch(absent))) {
      await this.#index.change((index) => index, undefined)
    }
  }
}
