// A registry in memory with real facts, and images to push into it: for tests.
import { randomUUID } from 'node:crypto'
import { MemoryStorage } from '#blobs/memory.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Db } from '#db/db.ts'
import { ReadRecorder } from '#events/reads.ts'
import { internalCaller } from '#identity/caller.ts'
import { sourceOf } from '#lib/byte-source.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { Lru } from '#lib/lru.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName, parseTag, type RepositoryName } from '#oci/reference.ts'
import { LiveUploads } from '#registry/live-uploads.ts'
import { pushManifest } from '#registry/manifests.ts'
import { OpenUploads } from '#registry/open-uploads.ts'
import type { Registry } from '#registry/registry.ts'
import { soleClaims } from '#registry/upload-claims.ts'
import { uploadWhole } from '#registry/uploads.ts'
import { silentLog } from '#telemetry/log.ts'

const STORAGE_BYTES_MAX = 256 * 1024 * 1024
export const CALLER = internalCaller('test')

export function registryOver(
  db: Db,
  more: Partial<Registry> & { readonly now?: () => number } = {},
): Registry & { readonly storage: BlobStorage } {
  const now = more.now ?? Date.now
  return {
    db,
    storage: new MemoryStorage({ bytesMax: STORAGE_BYTES_MAX, now }),
    guards: [],
    upstreams: [],
    settings: {
      sparse: false,
      validationDisabled: false,
      openUploadsMax: 1_000,
      deletedWindowMs: 0,
      graceMs: 3_600_000,
      tagsPageMax: 100,
      catalogPageMax: 100,
    },
    reads: new ReadRecorder(db, silentLog(), now),
    log: silentLog(),
    now,
    newId: randomUUID,
    announce() {},
    live: new LiveUploads(1_000),
    claims: soleClaims,
    openUploads: new OpenUploads({ count: 0, now }),
    boot: '',
    content: new Lru({ weightMax: 1_000_000, entryWeightMax: 100_000 }),
    verifying: new KeyedMutex(),
    ...more,
  }
}

export interface MadeImage {
  readonly digest: Digest
  readonly bytes: Buffer
  readonly blobs: readonly Buffer[]
}

/** An image whose blobs are these texts; the first is its config. */
export function imageOf(
  texts: readonly [string, ...string[]],
  members: Readonly<Record<string, unknown>> = {},
): MadeImage {
  const blobs = texts.map((text) => Buffer.from(text))
  const [config, ...layers] = blobs.map((blob, index) => ({
    mediaType: index === 0 ? OCI_CONFIG : 'application/vnd.oci.image.layer.v1.tar',
    digest: digestOf(blob),
    size: blob.length,
  }))
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...members }),
  )
  return { digest: digestOf(bytes), bytes, blobs }
}

export function indexOf(children: readonly MadeImage[]): MadeImage {
  const manifests = children.map(({ digest, bytes }) => ({
    mediaType: OCI_MANIFEST,
    digest,
    size: bytes.length,
  }))
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
  return { digest: digestOf(bytes), bytes, blobs: [] }
}

export async function pushBlobTo(registry: Registry, name: string, bytes: Buffer): Promise<Digest> {
  const digest = digestOf(bytes)
  await uploadWhole(registry, CALLER, parseRepositoryName(name), digest, {
    source: sourceOf(Buffer.from(bytes)),
    length: bytes.length,
  })
  return digest
}

/** Pushes the manifest alone: by the tag, or by its digest. */
export async function pushManifestTo(
  registry: Registry,
  name: string,
  { bytes, digest }: MadeImage,
  tag?: string,
): Promise<void> {
  const repository: RepositoryName = parseRepositoryName(name)
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType: string }
  const reference = tag === undefined ? { digest } : { tag: parseTag(tag) }
  await pushManifest(registry, CALLER, repository, reference, { mediaType, bytes, tags: [] })
}

/** Pushes blobs, then the manifest. */
export async function pushImageTo(
  registry: Registry,
  name: string,
  image: MadeImage,
  tag?: string,
): Promise<void> {
  for (const blob of image.blobs) await pushBlobTo(registry, name, blob)
  await pushManifestTo(registry, name, image, tag)
}
