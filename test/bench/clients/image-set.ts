// The images that the clients carry: an OCI image layout of them all, and beside it one layout for each, of links.
import { createHash, randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
const REF_NAME = 'org.opencontainers.image.ref.name'

export interface Shape {
  readonly images: number
  readonly layers: number
  /** So many of the layers are the same in every image. */
  readonly sharedLayers: number
  readonly layerBytes: number
}

export interface ImageSet {
  readonly shape: Shape
  /** A layout with every image under its tag. */
  readonly layout: string
  /** Below it lies one layout for each image, named like its tag, for programs that know no other kind. */
  readonly singles: string
  readonly tags: readonly string[]
  /** Configs and layers, each counted once. */
  readonly blobs: number
  readonly blobBytes: number
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

interface Layer {
  readonly descriptor: Descriptor
  readonly diffId: string
}

/** Writes the images below `folder`, which is made. Layers are gzip streams of random bytes: they compress no further. */
export function makeImageSet(folder: string, shape: Shape): ImageSet {
  const layout = join(folder, 'all')
  const blobFolder = join(layout, 'blobs', 'sha256')
  mkdirSync(blobFolder, { recursive: true })
  let blobs = 0
  let blobBytes = 0
  const write = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = sha256(bytes)
    writeFileSync(blobFile(layout, digest), bytes)
    if (mediaType !== OCI_MANIFEST) {
      blobs += 1
      blobBytes += bytes.length
    }
    return { mediaType, digest, size: bytes.length }
  }
  const newLayer = (): Layer => {
    const content = randomBytes(shape.layerBytes)
    // Level 0 stores: the size stays what it is, and nobody waits for a compression that finds nothing.
    return { descriptor: write(LAYER, gzipSync(content, { level: 0 })), diffId: sha256(content) }
  }
  const shared = Array.from({ length: shape.sharedLayers }, newLayer)
  const listed: object[] = []
  const tags: string[] = []
  for (let number = 0; number < shape.images; number++) {
    const tag = `v${number}`
    const own = Array.from({ length: shape.layers - shape.sharedLayers }, newLayer)
    const layers = [...shared, ...own]
    const config = write(OCI_CONFIG, json(configOf(tag, layers)))
    const manifest = write(OCI_MANIFEST, json(manifestOf(config, layers)))
    const entry = { ...manifest, annotations: { [REF_NAME]: tag } }
    const blobsOfImage = [manifest, config, ...layers.map(({ descriptor }) => descriptor)]
    linkLayout(join(folder, 'singles', tag), layout, entry, blobsOfImage)
    listed.push(entry)
    tags.push(tag)
  }
  writeIndex(layout, listed)
  return { shape, layout, singles: join(folder, 'singles'), tags, blobs, blobBytes }
}

export function removeImageSet(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

function configOf(tag: string, layers: readonly Layer[]) {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
  return { architecture: 'amd64', os: 'linux', config: { Labels: { tag } }, rootfs }
}

function manifestOf(config: Descriptor, layers: readonly Layer[]) {
  const descriptors = layers.map(({ descriptor }) => descriptor)
  return { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: descriptors }
}

function linkLayout(folder: string, from: string, entry: object, blobs: readonly Descriptor[]): void {
  mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true })
  for (const { digest } of blobs) linkSync(blobFile(from, digest), blobFile(folder, digest))
  writeIndex(folder, [entry])
}

function writeIndex(folder: string, manifests: readonly object[]): void {
  writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
  writeFileSync(join(folder, 'index.json'), json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
}

function blobFile(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'))
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
