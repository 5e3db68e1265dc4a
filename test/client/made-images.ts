// Images made up on the spot, in memory, for tests of the client.
import { randomBytes } from 'node:crypto'
import type { MemoryPlace } from '#client/memory-place.ts'
import type { ManifestContent } from '#client/place.ts'
import { verified } from '#client/verify.ts'
import { sourceOf } from '#lib/byte-source.ts'
import type { Descriptor, Platform } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseTag, type Tag } from '#oci/reference.ts'

export const LAYER = 'application/vnd.oci.image.layer.v1.tar'
export const LATEST = parseTag('latest')

export async function putBlob(place: MemoryPlace, bytes: Uint8Array, mediaType: string): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  await place.pushBlob(descriptor, {
    whole: () => verified(descriptor, sourceOf(bytes), 'the test'),
    from: (start) => sourceOf(bytes.subarray(start)),
  })
  return descriptor
}

export async function putManifest(
  place: MemoryPlace,
  value: Record<string, unknown>,
  mediaType: string,
  tag?: Tag,
): Promise<ManifestContent> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...value }))
  const manifest = { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength }, bytes }
  await place.pushManifest(manifest, { tag })
  return manifest
}

/** An image with one random layer of each size. */
export async function putImage(
  place: MemoryPlace,
  layerBytes: readonly number[],
  tag?: Tag,
  platform: Platform = { os: 'linux', architecture: 'amd64' },
): Promise<ManifestContent> {
  const layers: Descriptor[] = []
  for (const bytes of layerBytes) layers.push(await putBlob(place, randomBytes(bytes), LAYER))
  const config = await putBlob(
    place,
    Buffer.from(
      JSON.stringify({
        ...platform,
        rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
        config: { Labels: { made: randomBytes(8).toString('hex') } },
      }),
    ),
    OCI_CONFIG,
  )
  return await putManifest(place, { config, layers }, OCI_MANIFEST, tag)
}

/** An index of one image for each platform. */
export async function putIndex(
  place: MemoryPlace,
  platforms: readonly Platform[],
  tag?: Tag,
): Promise<ManifestContent> {
  const manifests: Descriptor[] = []
  for (const platform of platforms) {
    const { descriptor } = await putImage(place, [2000], undefined, platform)
    manifests.push({ ...descriptor, platform })
  }
  return await putManifest(place, { manifests }, OCI_INDEX, tag)
}

/** Something that refers to a manifest, as a signature or an SBOM does. */
export async function putReferrer(
  place: MemoryPlace,
  subject: Descriptor,
  artifactType = 'application/example.sbom',
): Promise<ManifestContent> {
  const { mediaType, digest, size } = subject
  const config = await putBlob(place, Buffer.from('{}'), OCI_EMPTY)
  const layer = await putBlob(place, randomBytes(100), 'application/example.document')
  return await putManifest(
    place,
    {
      artifactType,
      config,
      layers: [layer],
      subject: { mediaType, digest, size },
      annotations: { made: 'here' },
    },
    OCI_MANIFEST,
  )
}

/** Collects every blob of an image as the place gives it, and compares it by the check that the place itself makes. */
export async function readAll(
  place: Pick<MemoryPlace, 'blob'>,
  blobs: readonly Descriptor[],
): Promise<number> {
  let bytes = 0
  for (const blob of blobs) {
    await place.blob(blob)((chunk) => {
      bytes += chunk.byteLength
      return undefined
    })
  }
  return bytes
}
