// Upload sessions: opened, appended to, asked for, closed into a blob, cancelled.
import { NO_LOCKS, uploadLock } from '#db/locks.ts'
import { deleteUpload, findUpload, insertUpload, type UploadRecord } from '#db/uploads.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'
import { type ByteSource, emptySource } from '#lib/byte-source.ts'
import { algorithmOf, type Digest, type DigestAlgorithm } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { type StoredBlob, storeUpload } from '#registry/blobs.ts'
import { checkGuards, type Room, roomFor } from '#registry/guards.ts'
import { digestsOf, newRunningHash } from '#registry/live-uploads.ts'
import type { Registry } from '#registry/registry.ts'
import {
  BrokenOff,
  type FinalBytes,
  finalDigests,
  offsetOf,
  receive,
  type UploadBody,
  write,
} from '#registry/upload-bytes.ts'
import { bytesIdOf } from '#registry/upload-claims.ts'

export interface UploadStatus {
  readonly id: string
  /** Bytes received so far. */
  readonly offset: number
}

const NO_BODY: UploadBody = { source: emptySource, length: 0 }

/** @throws OciError TOO_MANY_UPLOADS, or what a guard says */
export async function openUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  algorithm: DigestAlgorithm = 'sha256',
): Promise<UploadStatus> {
  await checkGuards(registry.guards, { kind: 'push-blob', repository }, caller)
  if ((await registry.openUploads.count()) >= registry.settings.openUploadsMax) {
    throw new OciError('TOO_MANY_UPLOADS', { headers: { 'Retry-After': '60' } })
  }
  const id = registry.newId()
  registry.openUploads.opened()
  const upload = {
    id,
    repository,
    algorithm,
    actor: principalName(caller.principal) ?? null,
    now: registry.now(),
  }
  try {
    await registry.db.transaction((tx) => insertUpload(tx, upload), { durable: false, locks: NO_LOCKS })
  } catch (error) {
    registry.openUploads.closed()
    throw error
  }
  // So that the first bytes need not be preceded by a look at a file that is not there.
  registry.live.keep({ id, claims: 0 }, newRunningHash(algorithm === 'sha512'))
  return { id, offset: 0 }
}

/** @throws OciError BLOB_UPLOAD_UNKNOWN, also for a session of another repository or another principal */
async function sessionOf(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
): Promise<UploadRecord> {
  const upload = await findUpload(registry.db, id)
  const actor = principalName(caller.principal) ?? null
  if (!upload || upload.repository !== repository || upload.actor !== actor) {
    throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { repository, upload: id } })
  }
  return upload
}

export async function uploadStatus(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
): Promise<UploadStatus> {
  const session = await sessionOf(registry, caller, repository, id)
  return { id, offset: await offsetOf(registry, session) }
}

/** Runs work that writes to a session: one at a time, and a newer request takes over. */
async function writing<T>(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
  work: (session: UploadRecord, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return registry.live.hold(id, async (holding) => {
    const seen = await sessionOf(registry, caller, repository, id)
    const { session, signal, release } = await registry.claims.take(registry, seen, holding)
    let succeeded = false
    try {
      const result = await work(session, signal)
      succeeded = true
      return result
    } finally {
      await release(succeeded)
    }
  })
}

interface Arrival {
  /** Bytes that are there. */
  readonly offset: number
  readonly body: UploadBody
  readonly digest?: Digest
}

/** Asks the guards before a body is read. What does not say how long it is ends where they have no more room. */
async function admit(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  { offset, body, digest }: Arrival,
): Promise<UploadBody> {
  const size = body.length === undefined ? undefined : offset + body.length
  await checkGuards(registry.guards, { kind: 'push-blob', repository, size, digest }, caller)
  if (body.length !== undefined) return body
  const room = await roomFor(registry.guards, repository, caller)
  return room ? { ...body, source: within(body.source, room, offset) } : body
}

function within(source: ByteSource, { bytes, refuse }: Room, offset: number): ByteSource {
  return (sink, signal) => {
    let size = offset
    return source((chunk) => {
      size += chunk.length
      if (size > bytes) refuse(size)
      return sink(chunk)
    }, signal)
  }
}

/**
 * Appends a chunk. Bytes that came before the client went away are kept: it continues behind them.
 * @throws OciError UPLOAD_OUT_OF_ORDER with nothing consumed, SIZE_MISMATCH, UPLOAD_BUSY, STORAGE_FULL
 */
export async function appendToUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
  body: UploadBody,
): Promise<UploadStatus> {
  return writing(registry, caller, repository, id, async (session, signal) => {
    const offset = await offsetOf(registry, session)
    const admitted = await admit(registry, caller, repository, { offset, body })
    const hash = await receive(registry, session, offset, admitted, signal)
    return { id, offset: hash.offset }
  })
}

/**
 * Appends what is left, compares the digest, and makes the upload a blob of the repository.
 * May be repeated when its answer was lost: where a crash came between the bytes and the facts, the facts are made up for.
 * @throws OciError DIGEST_MISMATCH, which ends the session; BLOB_UPLOAD_UNKNOWN when bytes that we had are lost
 */
export async function closeUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
  digest: Digest,
  body: UploadBody = NO_BODY,
): Promise<StoredBlob> {
  return writing(registry, caller, repository, id, async (session, signal) => {
    const offset = body.length === 0 ? 0 : await offsetOf(registry, session)
    const admitted =
      body.length === 0 ? body : await admit(registry, caller, repository, { offset, body, digest })
    const final = await finalDigests(registry, session, digest, admitted, signal)
    await checkGuards(registry.guards, { kind: 'push-blob', repository, size: final.size, digest }, caller)
    try {
      return await closeBytes(registry, caller, repository, { id, session, ...final, claimed: digest })
    } finally {
      // Also after a failure: the bytes may have become a blob by then, and the file tells where the upload stands.
      registry.live.forget(id)
    }
  })
}

/** A whole blob in one request. A crash leaves bytes without a session, which the sweeper drops. */
export async function uploadWhole(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
  body: UploadBody,
): Promise<StoredBlob> {
  const admitted = await admit(registry, caller, repository, { offset: 0, body, digest })
  const id = registry.newId()
  const hash = newRunningHash(algorithmOf(digest) === 'sha512')
  try {
    await write(registry, { id, begun: 0 }, hash, admitted, undefined, digest)
    if (body.length === undefined) {
      await checkGuards(registry.guards, { kind: 'push-blob', repository, size: hash.offset, digest }, caller)
    }
    return await closeBytes(registry, caller, repository, {
      id,
      session: undefined,
      size: hash.offset,
      digests: digestsOf(hash),
      intact: true,
      claimed: digest,
    })
  } catch (error) {
    await registry.storage.discard(id)
    throw error instanceof BrokenOff ? error.cause : error
  }
}

export async function cancelUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
): Promise<void> {
  await writing(registry, caller, repository, id, (session) => dropUpload(registry, session))
}

/**
 * Ends a session and drops its bytes: the row first, so that a crash leaves bytes without a session and not the reverse.
 * @throws OciError UPLOAD_BUSY when another request has taken it
 */
export async function dropUpload(registry: Registry, session: UploadRecord): Promise<void> {
  const { id } = session
  const options = { durable: false, mayUseReserve: true, locks: [uploadLock(id)] }
  const dropped = await registry.db.transaction((tx) => deleteUpload(tx, session), options)
  registry.live.forget(id)
  if (!dropped) throw new OciError('UPLOAD_BUSY')
  registry.openUploads.closed()
  await registry.storage.discard(bytesIdOf(session))
}

interface Closing extends FinalBytes {
  readonly id: string
  /** Undefined for a blob in one request. */
  readonly session: UploadRecord | undefined
  readonly claimed: Digest
}

/** Compares what we computed with what the client claims; only then the bytes become a blob. */
async function closeBytes(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  { id, session, size, digests, intact, claimed }: Closing,
): Promise<StoredBlob> {
  const actual = algorithmOf(claimed) === 'sha512' ? digests.sha512 : digests.sha256
  if (actual !== claimed) {
    if (session) await dropUpload(registry, session)
    if (!intact) throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { repository, upload: id, lost: true } })
    throw new OciError('DIGEST_MISMATCH', { detail: { claimed, actual } })
  }
  const bytesId = session ? bytesIdOf(session) : id
  const received = { bytesId, session, sha256: digests.sha256, size, alias: claimed }
  const stored = await storeUpload(registry, caller, repository, received)
  if (session) registry.openUploads.closed()
  return stored
}
