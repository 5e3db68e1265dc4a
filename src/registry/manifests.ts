// Manifests of a repository: pulled, pushed, deleted.
import { addBlobAlias, findBlob, upsertBlob } from '#db/blobs.ts'
import {
  deleteManifest as deleteManifestRow,
  findManifest,
  findTaggedManifest,
  type ManifestRecord,
  upsertManifest,
} from '#db/manifests.ts'
import { ensureRepository, findRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { deleteTag, setTag, tagsOfManifest } from '#db/tags.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { algorithmOf, type Digest, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { ParsedManifest } from '#oci/manifest.ts'
import { formatReference, type Reference, type RepositoryName, type Tag } from '#oci/reference.ts'
import { isStored, readContent } from '#registry/blobs.ts'
import { checkGuards } from '#registry/guards.ts'
import { MANIFEST_BYTES_MAX, type Registry } from '#registry/registry.ts'
import { lookUp } from '#registry/upstream.ts'
import { type Missing, validateManifest } from '#registry/validate-manifest.ts'

export interface PushedManifest {
  readonly digest: Digest
  readonly subject: Digest | undefined
  readonly tags: readonly Tag[]
  /** Content that it refers to and that is not here, where the configuration allows that. */
  readonly missing: readonly Missing[]
}

export interface ManifestPush {
  /** The media type, without parameters; empty where the client named none. */
  readonly mediaType: string
  readonly bytes: Buffer
  /** `?tag=` parameters of a push by digest. */
  readonly tags: readonly Tag[]
}

/** @throws OciError MANIFEST_UNKNOWN */
export async function findManifestIn(
  registry: Registry,
  repository: RepositoryName,
  reference: Reference,
): Promise<ManifestRecord> {
  const manifest = await lookUp(
    registry.upstreams,
    repository,
    () =>
      reference.digest === undefined
        ? findTaggedManifest(registry.db, repository, reference.tag)
        : findManifest(registry.db, repository, reference.digest),
    (upstream) => upstream.manifest(repository, reference),
  )
  if (!manifest) throw unknown(repository, reference)
  return manifest
}

/** The manifest with its bytes, which have been hashed. @throws OciError MANIFEST_UNKNOWN, also when they are gone or broken */
export async function readManifest(
  registry: Registry,
  repository: RepositoryName,
  reference: Reference,
): Promise<{ readonly manifest: ManifestRecord; readonly bytes: Buffer }> {
  const manifest = await findManifestIn(registry, repository, reference)
  const bytes = await readContent(registry, manifest.blobDigest, MANIFEST_BYTES_MAX)
  if (!bytes) throw unknown(repository, reference)
  return { manifest, bytes }
}

/**
 * Stores a manifest and points tags at it. A tag in the reference gets the canonical sha256; only `tags` can bind a tag
 * to a digest in another algorithm.
 * @throws OciError MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_MISMATCH, or what a guard says
 */
export async function pushManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
  push: ManifestPush,
): Promise<PushedManifest> {
  const { bytes } = push
  const sha256 = digestOf(bytes)
  const digest = reference.digest ?? sha256
  if (algorithmOf(digest) === 'sha512' ? digestOf(bytes, 'sha512') !== digest : digest !== sha256) {
    throw new OciError('DIGEST_MISMATCH', {
      detail: { claimed: digest, actual: digestOf(bytes, algorithmOf(digest)) },
    })
  }
  const { manifest, mediaType, missing } = await validateManifest(registry, repository, push)
  const tags = reference.tag === undefined ? [...new Set(push.tags)] : [reference.tag]
  const intent = { kind: 'push-manifest', repository, digest, tags, size: bytes.length } as const
  await checkGuards(registry.guards, intent, caller)
  if (!(await isStored(registry, sha256, bytes.length))) await registry.storage.put(sha256, bytes)
  await recordManifest(registry, caller, repository, {
    digest,
    sha256,
    size: bytes.length,
    mediaType,
    manifest,
    tags,
  })
  registry.content.set(sha256, bytes, bytes.length)
  registry.announce()
  return { digest, subject: manifest.subject?.digest, tags, missing }
}

interface NewFacts {
  readonly digest: Digest
  readonly sha256: Digest
  readonly size: number
  readonly mediaType: string
  readonly manifest: ParsedManifest
  readonly tags: readonly Tag[]
}

async function recordManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  facts: NewFacts,
): Promise<void> {
  const { digest, sha256, size, mediaType, manifest, tags } = facts
  const now = registry.now()
  await registry.db.transaction(async (tx) => {
    const holder = await ensureRepository(tx, repository, now)
    await listRepositoryInCatalog(tx, holder)
    const blobId = await upsertBlob(tx, { digest: sha256, size, now, verifiedAt: now })
    if (digest !== sha256) await addBlobAlias(tx, digest, blobId)
    const blobIds: number[] = []
    for (const descriptor of manifest.config ? [manifest.config, ...manifest.layers] : manifest.layers) {
      const blob = await findBlob(tx, descriptor.digest)
      if (blob) blobIds.push(blob.id)
    }
    const row = {
      repositoryId: holder.id,
      digest,
      blobId,
      mediaType,
      size,
      artifactType: manifest.artifactType ?? null,
      subject: manifest.subject?.digest ?? null,
      annotations: manifest.subject ? JSON.stringify(manifest.annotations) : null,
      now,
    }
    const children = manifest.manifests.map((child) => child.digest)
    const manifestId = await upsertManifest(tx, row, { blobIds, children })
    for (const name of tags) await setTag(tx, { repositoryId: holder.id, name, manifestId, now })
    for (const tag of tags.length > 0 ? tags : [undefined]) {
      await recordEvent(tx, 'manifest.pushed', { repository, digest, tag, mediaType, size }, caller, now)
    }
  })
}

/**
 * Deletes a tag (the manifest stays) or a manifest with the tags that point at it.
 * @throws OciError MANIFEST_UNKNOWN
 */
export async function deleteManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
): Promise<void> {
  await checkGuards(registry.guards, { kind: 'delete-manifest', repository, reference }, caller)
  const { id, digest, mediaType, size } = await findManifestIn(registry, repository, reference)
  const now = registry.now()
  const deleted = await registry.db.transaction(async (tx) => {
    const holder = await findRepository(tx, repository)
    if (!holder) return false
    if (reference.tag !== undefined) {
      if (!(await deleteTag(tx, holder.id, reference.tag))) return false
      await recordEvent(tx, 'tag.deleted', { repository, tag: reference.tag, digest }, caller, now)
      return true
    }
    const current = await findManifest(tx, repository, digest)
    if (!current || current.id !== id) return false
    for (const tag of await tagsOfManifest(tx, id)) {
      await recordEvent(tx, 'tag.deleted', { repository, tag, digest }, caller, now)
    }
    await deleteManifestRow(tx, id)
    await recordEvent(tx, 'manifest.deleted', { repository, digest, mediaType, size }, caller, now)
    return true
  })
  if (!deleted) throw unknown(repository, reference)
  registry.announce()
}

function unknown(repository: RepositoryName, reference: Reference): OciError {
  return new OciError('MANIFEST_UNKNOWN', { detail: { repository, reference: formatReference(reference) } })
}
