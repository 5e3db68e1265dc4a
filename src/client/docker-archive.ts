// What `docker save` of old wrote: manifest.json, configs and layer tars, without digests. We give it the manifests it lacks.
import { createHash } from 'node:crypto'
import { ClientError } from '#client/client-error.ts'
import type { ManifestContent } from '#client/place.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { type Digest, digestFrom, digestOf, isDigest } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { isObject } from '#oci/parse-descriptor.ts'

/** What the reader of the archive lends. */
export interface ArchiveFiles {
  readonly label: string
  size(name: string): number | undefined
  /** @throws ClientError when it is absent or above bytesMax */
  bytes(name: string, bytesMax: number): Promise<Buffer>
  /** The first bytes, for a look at what it is. */
  head(name: string, length: number): Promise<Buffer>
  source(name: string): ByteSource
}

export interface DockerImage {
  readonly manifest: ManifestContent
  /** Full names with tags, e.g. `app:1` or `registry.example/app:1`. */
  readonly names: readonly string[]
  /** Which file of the archive each blob is. */
  readonly files: ReadonlyMap<Digest, string>
}

const CONFIG_BYTES_MAX = 8 * 1024 * 1024
const MANIFEST_JSON_BYTES_MAX = 8 * 1024 * 1024
const LAYER = 'application/vnd.oci.image.layer.v1.tar'

/** @throws ClientError invalid */
export async function readDockerImages(files: ArchiveFiles): Promise<DockerImage[]> {
  const list = parse(
    await files.bytes('manifest.json', MANIFEST_JSON_BYTES_MAX),
    `manifest.json of ${files.label}`,
  )
  if (!Array.isArray(list)) throw new ClientError('invalid', `manifest.json of ${files.label} is not a list`)
  const images: DockerImage[] = []
  for (const item of list) images.push(await readImage(files, item))
  return images
}

async function readImage(files: ArchiveFiles, item: unknown): Promise<DockerImage> {
  const { Config: configName, Layers: layerNames, RepoTags: names } = isObject(item) ? item : {}
  const wrong = (what: string) => new ClientError('invalid', `manifest.json of ${files.label} ${what}`)
  if (typeof configName !== 'string' || !isTexts(layerNames)) throw wrong('names no config and layers')
  const config = await files.bytes(configName, CONFIG_BYTES_MAX)
  const diffIds = diffIdsOf(parse(config, `${configName} of ${files.label}`))
  if (diffIds.length !== layerNames.length)
    throw wrong(`has ${layerNames.length} layers for ${diffIds.length} DiffIDs`)
  const blobs = new Map<Digest, string>()
  const configDescriptor = { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.byteLength }
  blobs.set(configDescriptor.digest, configName)
  const layers: Descriptor[] = []
  for (const [index, name] of layerNames.entries()) {
    const layer = await describeLayer(files, name, diffIds[index])
    blobs.set(layer.digest, name)
    layers.push(layer)
  }
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: configDescriptor, layers }),
  )
  const descriptor = { mediaType: OCI_MANIFEST, digest: digestOf(bytes), size: bytes.byteLength }
  return { manifest: { descriptor, bytes }, names: isTexts(names) ? names : [], files: blobs }
}

/** A plain layer has its DiffID for a digest, which is checked when it is read; a compressed one must be hashed now. */
async function describeLayer(
  files: ArchiveFiles,
  name: string,
  diffId: Digest | undefined,
): Promise<Descriptor> {
  const size = files.size(name)
  if (size === undefined || diffId === undefined) {
    throw new ClientError('invalid', `${files.label} does not have the layer ${name}`)
  }
  const magic = (await files.head(name, 4)).toString('hex')
  const suffix = magic.startsWith('1f8b') ? '+gzip' : magic === '28b52ffd' ? '+zstd' : ''
  if (suffix === '') return { mediaType: LAYER, digest: diffId, size }
  const hash = createHash('sha256')
  await files.source(name)((chunk) => {
    hash.update(chunk)
    return undefined
  })
  return { mediaType: `${LAYER}${suffix}`, digest: digestFrom('sha256', hash.digest('hex')), size }
}

function diffIdsOf(config: unknown): Digest[] {
  const rootfs = isObject(config) ? config['rootfs'] : undefined
  const diffIds = isObject(rootfs) ? rootfs['diff_ids'] : undefined
  return isTexts(diffIds) ? diffIds.filter(isDigest) : []
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}

function parse(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new ClientError('invalid', `${what} is not JSON`, { cause })
  }
}
