// Images to push: small ones that share nothing, and one whose manifest has the size of a usual one.
import { randomBytes } from 'node:crypto'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { type RegistryClient, sha256 } from './registry-client.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const SMALL_LAYER_BYTES = 16 * 1024
const USUAL_LAYERS = 7

function descriptor(mediaType: string, bytes: Uint8Array) {
  return { mediaType, digest: sha256(bytes), size: bytes.length }
}

function manifestOf(config: Uint8Array, layers: readonly Uint8Array[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(OCI_CONFIG, config),
      layers: layers.map((layer) => descriptor(LAYER, layer)),
    }),
  )
}

function configFor(layers: readonly Uint8Array[]): Buffer {
  const diffIds = layers.map((layer) => sha256(layer))
  return Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }),
  )
}

export interface SmallImage {
  readonly layer: Uint8Array
  readonly config: Uint8Array
  readonly manifest: Uint8Array
}

/** One layer, of 16 KiB where none is given, a config, a manifest: nothing of it has been seen before. */
export function smallImage(layer: Uint8Array = randomBytes(SMALL_LAYER_BYTES)): SmallImage {
  const config = configFor([layer])
  return { layer, config, manifest: manifestOf(config, [layer]) }
}

/**
 * What a client sends for an image that the registry does not have: for each of the two blobs HEAD (404), POST, PUT with
 * the body; then HEAD of the tag (404) and PUT of the manifest. Eight requests.
 */
export async function pushSmallImage(
  client: RegistryClient,
  repository: string,
  tag: string,
  image: SmallImage,
): Promise<void> {
  for (const blob of [image.layer, image.config]) {
    const digest = sha256(blob)
    await client.send({ method: 'HEAD', path: `/v2/${repository}/blobs/${digest}` }, 404)
    await client.pushBlob(repository, blob, digest)
  }
  await client.send({ method: 'HEAD', path: `/v2/${repository}/manifests/${tag}` }, 404)
  await client.pushManifest(repository, tag, image.manifest)
}

/** An image with a manifest of about 1.6 KB. Returns the manifest, whose blobs the repository then has. */
export async function pushUsualImage(
  client: RegistryClient,
  repository: string,
  tag: string,
): Promise<Buffer> {
  const layers = Array.from({ length: USUAL_LAYERS }, () => randomBytes(SMALL_LAYER_BYTES))
  const config = configFor(layers)
  for (const blob of [...layers, config]) await client.pushBlob(repository, blob)
  const manifest = manifestOf(config, layers)
  await client.pushManifest(repository, tag, manifest)
  return manifest
}

/** The least that makes a repository: an index of nothing. */
export const EMPTY_INDEX = {
  type: OCI_INDEX,
  bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] })),
} as const
