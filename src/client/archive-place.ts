// A tar archive as a place to read from: an OCI archive, what `docker save` writes now (both in one), or what it wrote before.
import { open } from 'node:fs/promises'
import { ClientError } from '#client/client-error.ts'
import { readDockerImages } from '#client/docker-archive.ts'
import { fileSource } from '#client/file-source.ts'
import { manifestContent, readLinks } from '#client/graph.ts'
import { findInIndex, type LayoutIndex, parseLayoutIndex, REF_NAME } from '#client/layout-index.ts'
import {
  type CallOptions,
  MANIFEST_BYTES_MAX,
  type ManifestContent,
  type ReadablePlace,
  type TagListing,
} from '#client/place.ts'
import { indexTar, type TarFile } from '#client/tar-index.ts'
import { collect, type VerifiedSource, verified } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import { SlabPool } from '#lib/slab.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'
import { isTag, type Reference, type Tag } from '#oci/reference.ts'

interface Contents {
  readonly index: LayoutIndex
  /** Manifests that the archive itself does not have. */
  readonly made: ReadonlyMap<Digest, ManifestContent>
  /** Blobs that lie elsewhere than where a layout has them. */
  readonly elsewhere: ReadonlyMap<Digest, TarFile>
}

export class ArchivePlace implements ReadablePlace, TagListing {
  readonly label: string
  readonly #path: string
  readonly #files: ReadonlyMap<string, TarFile>
  readonly #contents: Contents
  readonly #slabs = new SlabPool()

  private constructor(path: string, files: ReadonlyMap<string, TarFile>, contents: Contents) {
    this.label = `archive ${path}`
    this.#path = path
    this.#files = files
    this.#contents = contents
  }

  /** @throws ClientError not-found, or invalid for what is no image archive */
  static async open(path: string): Promise<ArchivePlace> {
    const files = await indexTar(path)
    return new ArchivePlace(path, files, await readContents(path, files))
  }

  async resolve(reference: Reference | undefined): Promise<Descriptor | undefined> {
    return (await this.manifest(reference))?.descriptor
  }

  async manifest(reference: Reference | undefined): Promise<ManifestContent | undefined> {
    const named = findInIndex(this.#contents.index, reference, this.label)
    const digest = named?.digest ?? reference?.digest
    if (digest === undefined) return undefined
    const made = this.#contents.made.get(digest)
    if (made) return made
    const file = this.#fileOf(digest)
    if (!file) return undefined
    const bytes = await collect(
      this.#read(file, 0),
      MANIFEST_BYTES_MAX,
      `manifest ${digest} of ${this.label}`,
    )
    return manifestContent(digest, bytes, named?.mediaType, this.label)
  }

  blob(descriptor: Descriptor, { signal }: CallOptions = {}): VerifiedSource {
    return verified(descriptor, this.blobFrom(descriptor, 0, { signal }), this.label)
  }

  blobFrom(descriptor: Descriptor, start: number, { signal }: CallOptions = {}): ByteSource {
    return async (sink) => {
      const file = this.#fileOf(descriptor.digest)
      if (!file) throw new ClientError('not-found', `${this.label} does not have ${descriptor.digest}`)
      await this.#read(file, start, signal)(sink)
    }
  }

  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = []
    for (const entry of this.#contents.index.manifests) {
      const manifest = await this.manifest({ digest: entry.digest })
      if (!manifest) continue
      const links = readLinks(manifest)
      if (links.subject?.digest === subject) found.push(manifest.descriptor)
    }
    return found
  }

  async *tags(): AsyncGenerator<Tag> {
    const names = new Set(this.#contents.index.manifests.map((entry) => entry.annotations?.[REF_NAME]))
    for (const name of names) if (name !== undefined && isTag(name)) yield name
  }

  #fileOf(digest: Digest): TarFile | undefined {
    return (
      this.#files.get(`blobs/${algorithmOf(digest)}/${encodedOf(digest)}`) ??
      this.#contents.elsewhere.get(digest)
    )
  }

  #read({ start, size }: TarFile, from: number, signal?: AbortSignal): ByteSource {
    return fileSource({ path: this.#path, start: start + from, end: start + size }, this.#slabs, signal)
  }
}

async function readContents(path: string, files: ReadonlyMap<string, TarFile>): Promise<Contents> {
  const source = (name: string): ByteSource => {
    const file = files.get(name)
    if (!file) throw new ClientError('invalid', `the archive ${path} does not have ${name}`)
    return fileSource({ path, start: file.start, end: file.start + file.size }, new SlabPool())
  }
  const bytes = (name: string, bytesMax: number) => collect(source(name), bytesMax, `${name} of ${path}`)
  if (files.has('index.json')) {
    const text = (await bytes('index.json', MANIFEST_BYTES_MAX)).toString('utf8')
    return { index: parseLayoutIndex(text, `index.json of ${path}`), made: new Map(), elsewhere: new Map() }
  }
  if (!files.has('manifest.json')) {
    throw new ClientError(
      'invalid',
      `${path} is no image archive: it has neither index.json nor manifest.json`,
    )
  }
  const images = await readDockerImages({
    label: `archive ${path}`,
    size: (name) => files.get(name)?.size,
    bytes,
    head: (name, length) => head(path, files.get(name), length),
    source,
  })
  const made = new Map<Digest, ManifestContent>()
  const elsewhere = new Map<Digest, TarFile>()
  const entries: Descriptor[] = []
  for (const { manifest, names, files: blobs } of images) {
    made.set(manifest.descriptor.digest, manifest)
    for (const [digest, name] of blobs) {
      const file = files.get(name)
      if (file) elsewhere.set(digest, file)
    }
    if (names.length === 0) entries.push(manifest.descriptor)
    for (const name of names) {
      const tag = name.slice(name.lastIndexOf(':') + 1)
      entries.push({ ...manifest.descriptor, annotations: { [REF_NAME]: tag } })
    }
  }
  return { index: { manifests: entries, rest: {} }, made, elsewhere }
}

async function head(path: string, file: TarFile | undefined, length: number): Promise<Buffer> {
  if (!file) return Buffer.alloc(0)
  const handle = await open(path, 'r')
  try {
    const wanted = Math.min(length, file.size)
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(wanted), 0, wanted, file.start)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
