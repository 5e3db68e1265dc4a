// Writes an image archive: an OCI layout in a tar, and on request the manifest.json that `docker load` wants, in the same.
// Sizes are known beforehand, so every blob gets its place at once and several are written side by side.
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ClientError } from '#client/client-error.ts'
import { FileSink } from '#client/file-sink.ts'
import { readLinks } from '#client/graph.ts'
import { addToIndex, formatLayoutIndex, LAYOUT_FILE, type LayoutIndex } from '#client/layout-index.ts'
import type {
  BlobContent,
  Finishing,
  ManifestContent,
  PushManifestOptions,
  PushOutcome,
  WritablePlace,
} from '#client/place.ts'
import { tarEnd, tarHeader, tarPadding } from '#client/tar-write.ts'
import { type VerifiedSource, verified } from '#client/verify.ts'
import { sourceOf } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'
import { isImageType } from '#oci/media-types.ts'
import type { Reference, Tag } from '#oci/reference.ts'

export interface ArchiveWriterOptions {
  /** `docker load` will name the images so, e.g. `registry.example/app`. Without it the archive is a plain OCI archive. */
  readonly dockerName?: string | undefined
}

interface Region {
  readonly start: number
  complete: boolean
}

interface DockerEntry {
  readonly Config: string
  readonly RepoTags: string[]
  readonly Layers: readonly string[]
}

/** The archive appears, or replaces an older one, with `finish`. */
export class ArchiveWriter implements WritablePlace, Finishing {
  readonly label: string
  readonly #path: string
  readonly #part: string
  readonly #dockerName: string | undefined
  readonly #regions = new Map<Digest, Region>()
  readonly #tagged = new Map<Tag, Descriptor>()
  readonly #docker = new Map<Digest, DockerEntry>()
  #file: Promise<FileHandle> | undefined
  #end = 0
  #index: LayoutIndex = { manifests: [], rest: {} }

  constructor(path: string, { dockerName }: ArchiveWriterOptions = {}) {
    this.label = `archive ${path}`
    this.#path = path
    this.#part = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`)
    this.#dockerName = dockerName
  }

  async resolve(reference: Reference | undefined): Promise<Descriptor | undefined> {
    if (reference?.tag !== undefined) return this.#tagged.get(reference.tag)
    return this.#index.manifests.find((entry) => entry.digest === reference?.digest)
  }

  async has({ digest }: Descriptor): Promise<boolean> {
    return this.#regions.get(digest)?.complete === true
  }

  async pushBlob(descriptor: Descriptor, content: BlobContent): Promise<PushOutcome> {
    if (await this.has(descriptor)) return 'present'
    await this.#writeBlob(descriptor, content.whole())
    return 'copied'
  }

  async pushManifest(manifest: ManifestContent, { tag }: PushManifestOptions = {}): Promise<void> {
    const { descriptor, bytes } = manifest
    const links = readLinks(manifest)
    if (tag !== undefined && this.#dockerName !== undefined)
      this.#addDocker(manifest, `${this.#dockerName}:${tag}`)
    if (!(await this.has(descriptor))) {
      await this.#writeBlob(descriptor, verified(descriptor, sourceOf(bytes), this.label))
    }
    if (tag === undefined && links.subject === undefined) return
    this.#index = addToIndex(this.#index, descriptor, tag)
    if (tag !== undefined) this.#tagged.set(tag, descriptor)
  }

  async finish(): Promise<void> {
    const broken = [...this.#regions].find(([, region]) => !region.complete)
    if (broken) throw new ClientError('invalid', `${this.label} lacks ${broken[0]}, so it is not finished`)
    const file = await this.#open()
    await this.#writeFile(file, 'oci-layout', LAYOUT_FILE)
    await this.#writeFile(file, 'index.json', formatLayoutIndex(this.#index))
    if (this.#docker.size > 0) {
      await this.#writeFile(file, 'manifest.json', JSON.stringify([...this.#docker.values()]))
    }
    await writeAt(file, tarEnd(), this.#end)
    await file.close()
    this.#file = undefined
    await rename(this.#part, this.#path)
  }

  async discard(): Promise<void> {
    const file = await this.#file?.catch(() => undefined)
    this.#file = undefined
    await file?.close()
    await rm(this.#part, { force: true })
  }

  #open(): Promise<FileHandle> {
    this.#file ??= open(this.#part, 'wx')
    return this.#file
  }

  async #writeBlob(descriptor: Descriptor, source: VerifiedSource): Promise<void> {
    const file = await this.#open()
    const header = tarHeader(pathOf(descriptor.digest), descriptor.size)
    const padding = tarPadding(descriptor.size)
    // A second try of the same blob uses its place again.
    const region = this.#regions.get(descriptor.digest) ?? { start: this.#end, complete: false }
    if (!this.#regions.has(descriptor.digest)) {
      this.#regions.set(descriptor.digest, region)
      this.#end += header.byteLength + descriptor.size + padding.byteLength
    }
    const sink = new FileSink(file.fd, region.start)
    try {
      await sink.write(header)
      await source((chunk) => sink.write(chunk))
      await sink.write(padding)
    } finally {
      await sink.flush()
    }
    region.complete = true
  }

  async #writeFile(file: FileHandle, name: string, text: string): Promise<void> {
    const bytes = Buffer.from(text)
    const entry = Buffer.concat([tarHeader(name, bytes.byteLength), bytes, tarPadding(bytes.byteLength)])
    await writeAt(file, entry, this.#end)
    this.#end += entry.byteLength
  }

  #addDocker(manifest: ManifestContent, name: string): void {
    const { digest, mediaType } = manifest.descriptor
    const links = readLinks(manifest)
    if (!isImageType(mediaType) || !links.config) {
      throw new ClientError(
        'invalid',
        `${name} is an index, and an archive for docker load holds single images`,
        {
          hint: 'choose one platform, or write an OCI archive',
        },
      )
    }
    const entry: DockerEntry = this.#docker.get(digest) ?? {
      Config: pathOf(links.config.digest),
      RepoTags: [],
      Layers: links.layers.map((layer) => pathOf(layer.digest)),
    }
    entry.RepoTags.push(name)
    this.#docker.set(digest, entry)
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    done += (await file.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten
  }
}

function pathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${encodedOf(digest)}`
}
