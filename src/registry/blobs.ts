// Blobs of a repository: found, opened, mounted, stored, unlinked.
import type { BlobReader } from '#blobs/store.ts'
import {
  addBlobAlias,
  anyRepositoryHolding,
  type BlobRecord,
  findBlob,
  findRepositoryBlob,
  forgetBlob,
  linkBlob,
  setBlobVerified,
  unlinkBlob,
  upsertBlob,
} from '#db/blobs.ts'
import type { Executor } from '#db/db.ts'
import { ensureRepository, findRepository } from '#db/repositories.ts'
import { deleteUpload } from '#db/uploads.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { type Digest, DigestHash, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { checkGuards } from '#registry/guards.ts'
import { CACHED_CONTENT_BYTES_MAX, type Registry } from '#registry/registry.ts'
import { lookUp } from '#registry/upstream.ts'

export interface StoredBlob {
  /** As the client named it. */
  readonly digest: Digest
  readonly size: number
}

/** Content that is served: whole from memory when it is small, from an open reader otherwise, which the caller closes. */
export type BlobContent =
  | { readonly size: number; readonly bytes: Buffer; readonly reader?: undefined }
  | { readonly size: number; readonly reader: BlobReader; readonly bytes?: undefined }

/** The blob when this repository holds it, its bytes verified. */
export async function findBlobIn(
  registry: Registry,
  repository: RepositoryName,
  digest: Digest,
): Promise<BlobRecord | undefined> {
  const blob = await lookUp(
    registry.upstreams,
    repository,
    () => findRepositoryBlob(registry.db, repository, digest),
    (upstream) => upstream.blob(repository, digest),
  )
  if (!blob || blob.verifiedAt !== null) return blob
  return (await verifyBlob(registry, blob)) ? blob : undefined
}

/** @throws OciError BLOB_UNKNOWN */
export async function statBlob(
  registry: Registry,
  repository: RepositoryName,
  digest: Digest,
): Promise<StoredBlob> {
  const blob = await findBlobIn(registry, repository, digest)
  if (!blob) throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest } })
  return { digest, size: blob.size }
}

/** @throws OciError BLOB_UNKNOWN, also when the facts know the blob and its bytes are gone or broken */
export async function openBlob(
  registry: Registry,
  repository: RepositoryName,
  digest: Digest,
): Promise<BlobContent> {
  const blob = await findBlobIn(registry, repository, digest)
  if (blob) {
    if (blob.size <= CACHED_CONTENT_BYTES_MAX) {
      const bytes = await readContent(registry, blob.digest, CACHED_CONTENT_BYTES_MAX)
      if (bytes) return { size: bytes.length, bytes }
    } else {
      const reader = await registry.storage.open(blob.digest)
      if (reader?.size === blob.size) return { size: blob.size, reader }
      await reader?.close()
      registry.log.warn('a blob is missing from the store or has another size', {
        digest: blob.digest,
        size: blob.size,
        found: reader?.size ?? null,
      })
    }
  }
  throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest } })
}

/**
 * Small content by the sha256 of its bytes, from memory or the store. What comes from the store is hashed first, so
 * broken bytes are never served.
 */
export async function readContent(
  registry: Registry,
  digest: Digest,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const cached = registry.content.get(digest)
  if (cached) return cached
  const bytes = await registry.storage.read(digest, maxBytes)
  if (bytes && digestOf(bytes) === digest) {
    registry.content.set(digest, bytes, bytes.length)
    return bytes
  }
  registry.log.warn(bytes ? 'stored bytes do not have their digest' : 'content is missing from the store', {
    digest,
  })
  return undefined
}

/**
 * Mounts a blob into a repository, from a named one or, without a name, from any that holds it.
 * Resolves to undefined when that is not possible: the client then uploads.
 */
export async function mountBlob(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
  from: RepositoryName | undefined,
): Promise<StoredBlob | undefined> {
  const blob = from
    ? await findBlobIn(registry, from, digest)
    : ((await findBlobIn(registry, repository, digest)) ?? (await findAnywhere(registry, digest)))
  if (!blob) return undefined
  await checkGuards(registry.guards, { kind: 'push-blob', repository, size: blob.size }, caller)
  const now = registry.now()
  const linked = await registry.db.transaction(async (tx) => {
    // Looked up again inside the transaction: the source may have been deleted a moment ago.
    const source = from ? await findRepositoryBlob(tx, from, digest) : await findHeldBlob(tx, digest)
    if (!source) return false
    const { id: repositoryId } = await ensureRepository(tx, repository, now)
    await linkBlob(tx, { repositoryId, blobId: source.id, now })
    const fact = { repository, digest, size: source.size, fromRepository: from }
    await recordEvent(tx, 'blob.mounted', fact, caller, now)
    return true
  })
  registry.announce()
  return linked ? { digest, size: blob.size } : undefined
}

/** Bytes that every repository deleted are gone for clients, though they wait to be collected; so are those of manifests. */
async function findHeldBlob(db: Executor, digest: Digest): Promise<BlobRecord | undefined> {
  const blob = await findBlob(db, digest)
  return blob && (await anyRepositoryHolding(db, blob.id)) !== undefined ? blob : undefined
}

async function findAnywhere(registry: Registry, digest: Digest): Promise<BlobRecord | undefined> {
  const blob = await findHeldBlob(registry.db, digest)
  if (!blob) return undefined
  const stat = await registry.storage.stat(blob.digest)
  if (stat?.size !== blob.size) return undefined
  if (blob.verifiedAt === null && !(await verifyBlob(registry, blob))) return undefined
  return blob
}

/**
 * Takes the bytes of an upload, whose sha256 we computed, into the repository. Bytes first, then one transaction: a crash
 * between them leaves a blob that nothing links, and nothing else.
 */
export async function storeUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  upload: { id: string; sha256: Digest; size: number; alias: Digest },
): Promise<void> {
  const { id, sha256, size, alias } = upload
  if (await isStored(registry, sha256, size)) await registry.storage.discard(id)
  else await registry.storage.commit(id, sha256)
  const now = registry.now()
  await registry.db.transaction(async (tx) => {
    const { id: repositoryId } = await ensureRepository(tx, repository, now)
    const blobId = await upsertBlob(tx, { digest: sha256, size, now, verifiedAt: now })
    if (alias !== sha256) await addBlobAlias(tx, alias, blobId)
    await linkBlob(tx, { repositoryId, blobId, now })
    await deleteUpload(tx, id)
    await recordEvent(tx, 'blob.pushed', { repository, digest: alias, size }, caller, now)
  })
  registry.announce()
}

/** Whether good bytes of that digest are durable already: a row says so, and the file has its size. */
export async function isStored(registry: Registry, sha256: Digest, size: number): Promise<boolean> {
  const blob = await findBlob(registry.db, sha256)
  if (!blob || blob.verifiedAt === null || blob.size !== size) return false
  return (await registry.storage.stat(sha256))?.size === size
}

/** Unlinks the blob in this repository; others keep it. @throws OciError BLOB_UNKNOWN */
export async function deleteBlob(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
): Promise<void> {
  await checkGuards(registry.guards, { kind: 'delete-blob', repository, digest }, caller)
  await findBlobIn(registry, repository, digest)
  const now = registry.now()
  const deleted = await registry.db.transaction(async (tx) => {
    const [holder, blob] = [await findRepository(tx, repository), await findBlob(tx, digest)]
    if (!holder || !blob || !(await unlinkBlob(tx, holder.id, blob.id))) return false
    await recordEvent(tx, 'blob.deleted', { repository, digest, size: blob.size }, caller, now)
    return true
  })
  if (!deleted) throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest } })
  registry.announce()
}

/**
 * Hashes bytes that another program wrote, once, before they are first served. Bytes that do not have their digest are
 * forgotten: what is broken is absent, never served.
 */
async function verifyBlob(registry: Registry, blob: BlobRecord): Promise<boolean> {
  return registry.verifying.run(blob.digest, async () => {
    const current = await findBlob(registry.db, blob.digest)
    if (!current) return false
    if (current.verifiedAt !== null) return true
    const sound = await hasItsDigest(registry, blob.digest)
    const isServed = await registry.db.transaction(async (tx) => {
      // A push of the same bytes may have replaced what we hashed.
      const latest = await findBlob(tx, blob.digest)
      if (!latest || latest.verifiedAt !== null) return latest !== undefined
      if (sound) await setBlobVerified(tx, latest.id, registry.now())
      else await forgetBlob(tx, latest.id)
      return sound
    })
    if (!isServed)
      registry.log.warn('stored bytes do not have their digest and are not served', { digest: blob.digest })
    return isServed
  })
}

async function hasItsDigest(registry: Registry, digest: Digest): Promise<boolean> {
  const reader = await registry.storage.open(digest)
  if (!reader) return false
  try {
    const hash = new DigestHash('sha256')
    for await (const chunk of reader.chunks()) hash.update(chunk)
    return hash.finish() === digest
  } finally {
    await reader.close()
  }
}
