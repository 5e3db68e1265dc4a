// A layout folder with two small container images that differ in one layer, one of them for two platforms, and a referrer.
import { gzipSync } from 'node:zlib'
import { copy } from '#client/copy.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import type { ManifestContent } from '#client/place.ts'
import { type CraftedEntry, tarOf } from '#layers/crafted-tar.suite.ts'
import type { Descriptor, Platform } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseTag } from '#oci/reference.ts'
import { putBlob, putManifest, putReferrer } from '../client/made-images.ts'

const LAYER_GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface MadeLayout {
  readonly folder: string
  readonly one: ManifestContent
  readonly two: ManifestContent
  readonly multi: ManifestContent
  readonly referrer: ManifestContent
}

export async function putContainerImage(
  place: MemoryPlace,
  layers: readonly (readonly CraftedEntry[])[],
  platform: Platform,
  tag?: string,
): Promise<ManifestContent> {
  const descriptors: Descriptor[] = []
  const diffIds: string[] = []
  for (const entries of layers) {
    const tar = tarOf(...entries)
    diffIds.push(digestOf(tar))
    descriptors.push(await putBlob(place, gzipSync(tar), LAYER_GZIP))
  }
  const history = layers.map((_, at) => ({ created: '2026-01-01T00:00:00Z', created_by: `COPY layer ${at}` }))
  const document = {
    ...platform,
    config: { Entrypoint: ['/bin/app'], Labels: { team: 'harbour' } },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history,
  }
  const config = await putBlob(place, Buffer.from(JSON.stringify(document)), OCI_CONFIG)
  return await putManifest(
    place,
    { config, layers: descriptors },
    OCI_MANIFEST,
    tag ? parseTag(tag) : undefined,
  )
}

/** Tags: `1` and `2` are images for this machine, `multi` is an index of both platforms. */
export async function makeLayout(folder: string): Promise<MadeLayout> {
  const memory = new MemoryPlace()
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const here = { os: 'linux', architecture }
  const other = { os: 'linux', architecture: architecture === 'arm64' ? 'amd64' : 'arm64' }
  const base: CraftedEntry[] = [
    { name: 'bin/' },
    { name: 'bin/app', content: 'the program, as it was', mode: 0o755 },
    { name: 'old.txt', content: 'goes away' },
  ]
  const one = await putContainerImage(memory, [base], here, '1')
  const change: CraftedEntry[] = [
    { name: 'bin/app', content: 'the program, made better', mode: 0o755 },
    { name: '.wh.old.txt' },
    { name: 'new.txt', content: 'comes in' },
  ]
  const two = await putContainerImage(memory, [base, change], here, '2')
  const elsewhere = await putContainerImage(memory, [[{ name: 'arm.txt', content: 'other' }]], other)
  const manifests = [
    { ...one.descriptor, platform: here },
    { ...elsewhere.descriptor, platform: other },
  ]
  const multi = await putManifest(memory, { manifests }, OCI_INDEX, parseTag('multi'))
  const referrer = await putReferrer(memory, one.descriptor)
  const layout = new LayoutPlace(folder)
  for (const tag of ['1', '2', 'multi'])
    await copy(memory, layout, { reference: { tag: parseTag(tag) }, tags: [parseTag(tag)], referrers: true })
  return { folder, one, two, multi, referrer }
}
