// Blobs of a repository: found, opened, mounted, stored, unlinked.
import type { BlobReader, Redirecting } from '#blobs/store.ts'
import {
  addBlobAlias,
  type BlobRecord,
  findBlob,
  findRepositoryBlob,
  type HeldBlobRecord,
  linkBlob,
  repositoriesHolding,
  reviveBlob,
  unlinkBlob,
  upsertBlob,
} from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobLock, repositoryLock } from '#db/locks.ts'
import { ensureRepository, findRepository } from '#db/repositories.ts'
import { deleteUpload, type UploadClaim } from '#db/uploads.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { userName } from '#identity/principal.ts'
import { mayRead, type Readable } from '#identity/readable.ts'
import { together } from '#lib/together.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { checkGuards, confirmChange } from '#registry/guards.ts'
import { keepBytes } from '#registry/keep-bytes.ts'
import { isCondemned, keepForPush } from '#registry/keep-content.ts'
import { CACHED_CONTENT_BYTES_MAX, type Registry } from '#registry/registry.ts'
import { lookUp } from '#registry/upstream.ts'
import { verifyBlob } from '#registry/verify-blob.ts'

/** Of a blob that very many hold, so many are looked at for one that may be read; the client uploads otherwise. */
const HOLDERS_MAX = 1_000
/** A client follows at once; a download that has begun goes on beyond. registry:2 gives as long. */
const ADDRESS_SECONDS = 20 * 60

export interface StoredBlob {
  /** As the client named it. */
  readonly digest: Digest
  readonly size: number
  /** Sentences of the guards, after a push. */
  readonly warnings?: readonly string[]
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
): Promise<HeldBlobRecord | undefined> {
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
  if (isCondemned(blob)) await keepForPush(registry, repository, blob)
  return { digest, size: blob.size }
}

/** An address that gives the bytes to anybody for a while. @throws OciError BLOB_UNKNOWN */
export async function blobAddress(
  registry: Registry,
  redirecting: Redirecting,
  repository: RepositoryName,
  digest: Digest,
): Promise<{ readonly url: URL; readonly size: number }> {
  const blob = await findBlobIn(registry, repository, digest)
  if (!blob) throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest } })
  return { url: await redirecting.urlFor(blob.digest, ADDRESS_SECONDS), size: blob.size }
}

/**
 * `partly`: only ranges of it will be read.
 * @throws OciError BLOB_UNKNOWN, also when the facts know the blob and its bytes are gone or broken
 */
export async function openBlob(
  registry: Registry,
  repository: RepositoryName,
  digest: Digest,
  partly = false,
): Promise<BlobContent> {
  const blob = await findBlobIn(registry, repository, digest)
  if (blob) {
    if (blob.size <= CACHED_CONTENT_BYTES_MAX) {
      const bytes = await readContent(registry, blob.digest, CACHED_CONTENT_BYTES_MAX)
      if (bytes) return { size: bytes.length, bytes }
    } else {
      const reader = await registry.storage.open(blob.digest, partly)
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
  source: MountSource,
): Promise<StoredBlob | undefined> {
  const found = await findSource(registry, repository, digest, source)
  if (!found) return undefined
  const { blob, from } = found
  const intent = { kind: 'push-blob', repository, size: blob.size, digest } as const
  await checkGuards(registry.guards, intent, caller)
  const now = registry.now()
  const mount = async (tx: Transaction) => {
    // Looked up again inside the transaction: the source may have been deleted a moment ago.
    const held = await findRepositoryBlob(tx, from, digest)
    if (!held) return undefined
    const change = { kind: 'link-blob', repository, sha256: held.digest, size: held.size } as const
    const warnings = await confirmChange(tx, registry.guards, change, caller)
    if (held.condemnedAt !== null) await reviveBlob(tx, held)
    const { id: repositoryId } = await ensureRepository(tx, repository, now)
    await linkBlob(tx, { repositoryId, blobId: held.id, now, pusher: userName(caller.principal) })
    const fact = { repository, digest, size: held.size, fromRepository: from }
    await recordEvent(tx, 'blob.mounted', fact, caller, now)
    return { digest, size: held.size, warnings }
  }
  const linked = await registry.db.transaction(mount, { locks: [blobLock(blob.digest)] })
  registry.announce()
  return linked
}

/** The repository that the client names, whose right to it was asked for; or any among those that may be read. */
export type MountSource = { readonly from: RepositoryName } | { readonly among: Readable }

async function findSource(
  registry: Registry,
  repository: RepositoryName,
  digest: Digest,
  source: MountSource,
): Promise<{ blob: BlobRecord; from: RepositoryName } | undefined> {
  const from = 'from' in source ? source.from : repository
  const blob = await findBlobIn(registry, from, digest)
  if (blob) return { blob, from }
  return 'among' in source ? findAmong(registry, digest, source.among) : undefined
}

/** Bytes that every repository deleted are gone for clients, though they wait to be collected; so are those of manifests. */
async function findAmong(
  registry: Registry,
  digest: Digest,
  readable: Readable,
): Promise<{ blob: BlobRecord; from: RepositoryName } | undefined> {
  const blob = await findBlob(registry.db, digest)
  if (!blob) return undefined
  const holders = await repositoriesHolding(registry.db, blob.id, readable === 'everything' ? 1 : HOLDERS_MAX)
  const from = (holders as RepositoryName[]).find((name) => mayRead(readable, name))
  if (from === undefined) return undefined
  const stat = await registry.storage.stat(blob.digest)
  if (stat?.size !== blob.size) return undefined
  if (blob.verifiedAt === null && !(await verifyBlob(registry, blob))) return undefined
  return { blob, from }
}

export interface ReceivedUpload {
  /** Where its bytes lie. */
  readonly bytesId: string
  /** The session that ends with it; undefined for a blob in one request. */
  readonly session: UploadClaim | undefined
  readonly sha256: Digest
  readonly size: number
  /** The digest by which the client names it. */
  readonly alias: Digest
}

/**
 * Takes the bytes of an upload, whose sha256 we computed, into the repository. Bytes first, then one transaction: a crash
 * between them leaves a blob that nothing links, and nothing else.
 */
export async function storeUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  upload: ReceivedUpload,
): Promise<StoredBlob> {
  const { bytesId, session, sha256, size, alias } = upload
  const now = registry.now()
  const record = async (tx: Transaction) => {
    const change = { kind: 'link-blob', repository, sha256, size } as const
    const [warnings, { id: repositoryId }, blobId] = await together([
      confirmChange(tx, registry.guards, change, caller),
      ensureRepository(tx, repository, now),
      upsertBlob(tx, { digest: sha256, size, now, verifiedAt: now }),
    ])
    const [isOurs] = await together([
      session ? deleteUpload(tx, session) : true,
      alias !== sha256 && addBlobAlias(tx, alias, blobId),
      linkBlob(tx, { repositoryId, blobId, now, pusher: userName(caller.principal) }),
      recordEvent(tx, 'blob.pushed', { repository, digest: alias, size }, caller, now),
    ])
    // Another request took the session meanwhile: what this one stored stays without a link.
    if (!isOurs) throw new OciError('UPLOAD_BUSY')
    return { digest: alias, size, warnings }
  }
  const { wereThere, value } = await keepBytes(registry, {
    ...{ sha256, size, record },
    store: () => registry.storage.commit(bytesId, sha256),
    canStoreAgain: false,
    locks: [blobLock(sha256)],
  })
  registry.announce()
  if (wereThere) await registry.storage.discard(bytesId)
  return value
}

/** Unlinks the blob in this repository; others keep it. @throws OciError BLOB_UNKNOWN */
export async function deleteBlob(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
): Promise<void> {
  await checkGuards(registry.guards, { kind: 'delete-blob', repository, digest }, caller)
  const known = await findBlobIn(registry, repository, digest)
  const now = registry.now()
  const deletion = async (tx: Transaction) => {
    const [holder, blob] = [await findRepository(tx, repository), await findBlob(tx, digest)]
    if (holder && blob) {
      const change = { kind: 'delete-blob', repository, blobId: blob.id } as const
      await confirmChange(tx, registry.guards, change, caller)
    }
    if (!holder || !blob || !(await unlinkBlob(tx, holder.id, blob.id))) return false
    await recordEvent(tx, 'blob.deleted', { repository, digest, size: blob.size }, caller, now)
    return true
  }
  const locks = [repositoryLock(repository), blobLock(known?.digest ?? digest)]
  const deleted = await registry.db.transaction(deletion, { mayUseReserve: true, locks })
  if (!deleted) throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest } })
  registry.announce()
}
