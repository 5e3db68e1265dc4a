// Upload sessions: opened, appended to, asked for, closed into a blob, cancelled.
//
// The length of the file is the truth about how far an upload has come: after a crash a client continues behind the last
// byte that reached us, whatever the session's row says. The row keeps the digest at the end of the last request, so that
// a close without a body only compares.
import {
  deleteUpload,
  findUpload,
  insertUpload,
  recordUploadProgress,
  type UploadRecord,
} from '#db/uploads.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'
import { type ByteSource, emptySource } from '#lib/byte-source.ts'
import type { ContentRange } from '#lib/content-range.ts'
import { algorithmOf, type Digest, type DigestAlgorithm } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { type StoredBlob, storeUpload } from '#registry/blobs.ts'
import { checkGuards } from '#registry/guards.ts'
import {
  advance,
  digestsOf,
  newRunningHash,
  type RunningHash,
  type UploadDigests,
} from '#registry/live-uploads.ts'
import type { Registry } from '#registry/registry.ts'

export interface UploadStatus {
  readonly id: string
  /** Bytes received so far. */
  readonly offset: number
}

export interface UploadBody {
  readonly source: ByteSource
  /** Bytes that the client announced, where it did. */
  readonly length?: number | undefined
  /** Where the client says that the bytes belong. */
  readonly range?: ContentRange | undefined
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
  if (registry.openUploads.size >= registry.settings.openUploadsMax) {
    throw new OciError('TOO_MANY_UPLOADS', { headers: { 'Retry-After': '60' } })
  }
  const id = registry.newId()
  registry.openUploads.add(id)
  const upload = {
    id,
    repository,
    algorithm,
    actor: principalName(caller.principal) ?? null,
    now: registry.now(),
  }
  try {
    await registry.db.transaction((tx) => insertUpload(tx, upload), { durable: false })
  } catch (error) {
    registry.openUploads.delete(id)
    throw error
  }
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
  await sessionOf(registry, caller, repository, id)
  return { id, offset: await offsetOf(registry, id) }
}

/** Where the upload ends. What this process wrote last it knows; otherwise, and while a request writes, the file tells. */
async function offsetOf(registry: Registry, id: string): Promise<number> {
  return registry.live.hash(id)?.offset ?? (await registry.storage.size(id)) ?? 0
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
  return registry.live.hold(id, async (signal) => {
    const session = await sessionOf(registry, caller, repository, id)
    await checkGuards(registry.guards, { kind: 'push-blob', repository, size: body.length }, caller)
    const offset = await offsetOf(registry, id)
    const hash = await receive(registry, session, offset, body, signal, 'always')
    return { id, offset: hash.offset }
  })
}

/**
 * Appends what is left, compares the digest, and makes the upload a blob of the repository.
 * @throws OciError DIGEST_MISMATCH, which ends the session
 */
export async function closeUpload(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  id: string,
  digest: Digest,
  body: UploadBody = NO_BODY,
): Promise<StoredBlob> {
  return registry.live.hold(id, async (signal) => {
    const session = await sessionOf(registry, caller, repository, id)
    const { size, digests } = await finalDigests(registry, session, digest, body, signal)
    await checkGuards(registry.guards, { kind: 'push-blob', repository, size }, caller)
    try {
      return await closeBytes(registry, caller, repository, { id, size, digests, claimed: digest })
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
  await checkGuards(registry.guards, { kind: 'push-blob', repository, size: body.length }, caller)
  const id = registry.newId()
  const hash = newRunningHash(algorithmOf(digest) === 'sha512')
  try {
    await write(registry, id, hash, body, undefined)
    if (body.length === undefined) {
      await checkGuards(registry.guards, { kind: 'push-blob', repository, size: hash.offset }, caller)
    }
    return await closeBytes(registry, caller, repository, {
      id,
      size: hash.offset,
      digests: digestsOf(hash),
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
  await registry.live.hold(id, async () => {
    await sessionOf(registry, caller, repository, id)
    await dropUpload(registry, id)
  })
}

/** Ends a session and drops its bytes: the row first, so that a crash leaves bytes without a session and not the reverse. */
export async function dropUpload(registry: Registry, id: string): Promise<void> {
  await registry.db.transaction((tx) => deleteUpload(tx, id), { durable: false })
  registry.openUploads.delete(id)
  registry.live.forget(id)
  await registry.storage.discard(id)
}

/** `record`: a request that ends the session tells how far it came only when it breaks off. */
async function receive(
  registry: Registry,
  session: UploadRecord,
  offset: number,
  body: UploadBody,
  signal: AbortSignal,
  record: 'always' | 'when-broken',
): Promise<RunningHash> {
  if (body.range && body.range.start !== offset) throw outOfOrder(offset)
  const hash = await hashUpTo(registry, session, offset)
  const recorded = async () => {
    registry.live.keep(session.id, hash)
    const progress = { id: session.id, size: hash.offset, digest: hash.sha256.peek(), now: registry.now() }
    await registry.db.transaction((tx) => recordUploadProgress(tx, progress), { durable: false })
  }
  try {
    await write(registry, session.id, hash, body, signal)
  } catch (error) {
    if (error instanceof BrokenOff) {
      await recorded()
      throw error.cause
    }
    if (error instanceof OciError && error.reason === 'STORAGE_FULL') {
      await takeBack(registry, session.id, offset)
    }
    throw error
  }
  if (record === 'always') await recorded()
  return hash
}

/** Part of a chunk that did not fit would keep others from the little space that is left: its client sends it again, or never. */
async function takeBack(registry: Registry, id: string, offset: number): Promise<void> {
  try {
    await (await registry.storage.append(id, offset)).close()
  } catch (error) {
    registry.log.warn('an upload that did not fit keeps its space until it is swept', {
      upload: id,
      error: String(error),
    })
  }
}

/** The body broke off, and all that came before is written. The cause is what to tell. */
class BrokenOff extends Error {
  override readonly name = 'BrokenOff'
}

/** Writes and hashes a body in one pass. @throws BrokenOff, or what the disk said */
async function write(
  registry: Registry,
  id: string,
  hash: RunningHash,
  { source, length, range }: UploadBody,
  signal: AbortSignal | undefined,
): Promise<void> {
  const start = hash.offset
  const expected = range ? range.end - range.start : length
  if (range && length !== undefined && length !== expected) {
    throw new OciError('SIZE_MISMATCH', { detail: { contentLength: length, contentRange: expected } })
  }
  registry.live.forget(id)
  const writer = await registry.storage.append(id, start)
  try {
    await source((chunk) => {
      if (expected !== undefined && hash.offset - start + chunk.length > expected) {
        throw new OciError('SIZE_MISMATCH', { detail: { expected } })
      }
      advance(hash, chunk)
      return writer.write(chunk)
    }, signal)
    if (expected !== undefined && hash.offset - start !== expected) {
      throw new OciError('SIZE_MISMATCH', { detail: { expected, received: hash.offset - start } })
    }
  } catch (cause) {
    const written = await writer.close().then(
      () => true,
      () => false,
    )
    throw written ? new BrokenOff('the body broke off', { cause }) : cause
  }
  await writer.close()
}

/** The hash of the bytes that are there: the running one, or made anew by reading them, once after a restart. */
async function hashUpTo(registry: Registry, session: UploadRecord, offset: number): Promise<RunningHash> {
  const withSha512 = session.algorithm === 'sha512'
  const running = registry.live.hash(session.id)
  if (running && running.offset === offset) return running
  if (offset === 0) return newRunningHash(withSha512)
  return readAgain(registry, session.id, withSha512)
}

async function readAgain(registry: Registry, id: string, withSha512: boolean): Promise<RunningHash> {
  const hash = newRunningHash(withSha512)
  const reader = await registry.storage.openUpload(id)
  if (!reader) return hash
  try {
    for await (const chunk of reader.chunks()) advance(hash, chunk)
  } finally {
    await reader.close()
  }
  return hash
}

async function finalDigests(
  registry: Registry,
  session: UploadRecord,
  claimed: Digest,
  body: UploadBody,
  signal: AbortSignal,
): Promise<{ size: number; digests: UploadDigests }> {
  const offset = await offsetOf(registry, session.id)
  const wantsSha512 = algorithmOf(claimed) === 'sha512'
  const bodyless = body.length === 0
  if (bodyless && body.range && body.range.start !== offset) throw outOfOrder(offset)
  const running = registry.live.hash(session.id)
  if (bodyless && offset === 0) await (await registry.storage.append(session.id, 0)).close()
  if (bodyless && running?.offset === offset && (running.sha512 || !wantsSha512)) {
    return { size: offset, digests: digestsOf(running) }
  }
  if (bodyless && !wantsSha512 && session.digest && session.size === offset) {
    return { size: offset, digests: { sha256: session.digest, sha512: undefined } }
  }
  const hash = bodyless
    ? await hashUpTo(registry, session, offset)
    : await receive(registry, session, offset, body, signal, 'when-broken')
  if (!wantsSha512 || hash.sha512) return { size: hash.offset, digests: digestsOf(hash) }
  return { size: hash.offset, digests: digestsOf(await readAgain(registry, session.id, true)) }
}

/** Compares what we computed with what the client claims; only then the bytes become a blob. */
async function closeBytes(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  upload: { id: string; size: number; digests: UploadDigests; claimed: Digest },
): Promise<StoredBlob> {
  const { id, size, digests, claimed } = upload
  const actual = algorithmOf(claimed) === 'sha512' ? digests.sha512 : digests.sha256
  if (actual !== claimed) {
    await dropUpload(registry, id)
    throw new OciError('DIGEST_MISMATCH', { detail: { claimed, actual } })
  }
  await storeUpload(registry, caller, repository, { id, sha256: digests.sha256, size, alias: claimed })
  registry.openUploads.delete(id)
  return { digest: claimed, size }
}

function outOfOrder(offset: number): OciError {
  return new OciError('UPLOAD_OUT_OF_ORDER', {
    detail: { offset },
    headers: { Range: rangeHeader(offset) },
  })
}

/** What has been received, as clients parse it: `0-<last byte>`, and `0-0` for nothing. */
export function rangeHeader(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`
}
