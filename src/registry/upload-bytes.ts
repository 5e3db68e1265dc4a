// The bytes of an upload: received and hashed in one pass, counted, and made sure of when they are to become a blob.
//
// The length of the file is the truth about how far an upload has come: after a crash a client continues behind the last
// byte that reached us, whatever the session's row says. The row keeps size and digest at the end of the last request: they
// tell bytes that a crash took, or that became a blob before the facts did, from bytes that never were what the client says.
import { uploadLock } from '#db/locks.ts'
import { recordUploadProgress, type UploadRecord } from '#db/uploads.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { ContentRange } from '#lib/content-range.ts'
import { algorithmOf, type Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import {
  advance,
  countFrom,
  digestsOf,
  newRunningHash,
  type RunningHash,
  type UploadDigests,
} from '#registry/live-uploads.ts'
import type { Registry } from '#registry/registry.ts'
import { bytesIdOf } from '#registry/upload-claims.ts'

export interface UploadBody {
  readonly source: ByteSource
  /** Bytes that the client announced, where it did. */
  readonly length?: number | undefined
  /** Where the client says that the bytes belong. */
  readonly range?: ContentRange | undefined
}

/** Where the upload ends. What this process wrote last it knows; otherwise, and while a request writes, the file tells. */
export async function offsetOf(registry: Registry, session: UploadRecord): Promise<number> {
  return registry.live.hash(session)?.offset ?? (await registry.storage.size(bytesIdOf(session))) ?? 0
}

/**
 * A request that appends tells how far it came; one that ends the session, with the digest of all, only when it breaks off.
 * @throws OciError UPLOAD_BUSY when another request has taken the session: what was received does not count
 */
export async function receive(
  registry: Registry,
  session: UploadRecord,
  offset: number,
  body: UploadBody,
  signal: AbortSignal,
  ending?: Digest,
): Promise<RunningHash> {
  if (body.range && body.range.start !== offset) throw outOfOrder(offset)
  const hash = await hashUpTo(registry, session, offset)
  const recorded = async () => {
    const { id, claims } = session
    if (!hash.countsOnly) registry.live.keep(session, hash)
    const progress = {
      id,
      claims,
      size: hash.offset,
      digest: hash.countsOnly ? null : hash.sha256.peek(),
      boot: registry.boot === '' ? null : registry.boot,
      now: registry.now(),
    }
    const options = { durable: false, locks: [uploadLock(id)] }
    if (await registry.db.transaction((tx) => recordUploadProgress(tx, progress), options)) return
    registry.live.forget(id)
    throw new OciError('UPLOAD_BUSY')
  }
  const expected = offset === 0 ? ending : undefined
  try {
    await write(registry, session, hash, body, signal, expected)
  } catch (error) {
    if (error instanceof BrokenOff) {
      if (await isKept(registry, bytesIdOf(session), hash, expected)) await recorded()
      throw error.cause
    }
    if (error instanceof OciError && error.reason === 'STORAGE_FULL') {
      await takeBack(registry, session, offset)
    }
    throw error
  }
  if (ending === undefined) await recorded()
  return hash
}

/** What was to become a blob at once a store need not keep when it broke off; then there is nothing left of it. */
async function isKept(
  registry: Registry,
  id: string,
  { offset }: RunningHash,
  expected: Digest | undefined,
): Promise<boolean> {
  if (expected === undefined || (await registry.storage.size(id)) === offset) return true
  await registry.storage.discard(id)
  return false
}

/** Part of a chunk that did not fit would keep others from the little space that is left: its client sends it again, or never. */
async function takeBack(registry: Registry, session: UploadRecord, offset: number): Promise<void> {
  try {
    await (await registry.storage.append(bytesIdOf(session), offset)).close()
  } catch (error) {
    registry.log.warn('an upload that did not fit keeps its space until it is swept', {
      upload: session.id,
      error: String(error),
    })
  }
}

/** The body broke off, and all that came before is written. The cause is what to tell. */
export class BrokenOff extends Error {
  override readonly name = 'BrokenOff'
}

/**
 * Writes and hashes a body in one pass; one that is the whole of a blob, by the digest that its client expects.
 * @throws BrokenOff, or what the disk said
 */
export async function write(
  registry: Registry,
  session: Pick<UploadRecord, 'id' | 'begun'>,
  hash: RunningHash,
  { source, length, range }: UploadBody,
  signal: AbortSignal | undefined,
  expected?: Digest,
): Promise<void> {
  const start = hash.offset
  const announced = range ? range.end - range.start : length
  if (range && length !== undefined && length !== announced) {
    throw new OciError('SIZE_MISMATCH', { detail: { contentLength: length, contentRange: announced } })
  }
  registry.live.forget(session.id)
  // Bytes lie under their sha256: what they are expected to be in another algorithm leads to no place.
  const place = expected !== undefined && algorithmOf(expected) === 'sha256' ? expected : undefined
  const writer = await registry.storage.append(bytesIdOf(session), start, place)
  try {
    await source((chunk) => {
      if (announced !== undefined && hash.offset - start + chunk.length > announced) {
        throw new OciError('SIZE_MISMATCH', { detail: { expected: announced } })
      }
      advance(hash, chunk)
      return writer.write(chunk)
    }, signal)
    if (announced !== undefined && hash.offset - start !== announced) {
      throw new OciError('SIZE_MISMATCH', { detail: { expected: announced, received: hash.offset - start } })
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

/**
 * The hash of the bytes that are there: the running one, or made anew by reading them, once after a restart. Where other
 * processes write to the session too, that would be once a request: there the end reads them, once.
 */
async function hashUpTo(registry: Registry, session: UploadRecord, offset: number): Promise<RunningHash> {
  const withSha512 = session.algorithm === 'sha512'
  const running = registry.live.hash(session)
  if (running && running.offset === offset) return running
  if (offset === 0) return newRunningHash(withSha512)
  if (registry.claims.isShared) return countFrom(offset)
  return readAgain(registry, session, withSha512)
}

async function readAgain(
  registry: Registry,
  session: UploadRecord,
  withSha512: boolean,
): Promise<RunningHash> {
  const hash = newRunningHash(withSha512)
  const reader = await registry.storage.openUpload(bytesIdOf(session))
  if (!reader) return hash
  try {
    for await (const chunk of reader.chunks()) advance(hash, chunk)
  } finally {
    await reader.close()
  }
  return hash
}

export interface FinalBytes {
  readonly size: number
  readonly digests: UploadDigests
  /** False when bytes that we had acknowledged are not what they were: a digest that differs is not the client's fault. */
  readonly intact: boolean
}

export async function finalDigests(
  registry: Registry,
  session: UploadRecord,
  claimed: Digest,
  body: UploadBody,
  signal: AbortSignal,
): Promise<FinalBytes> {
  const offset = await offsetOf(registry, session)
  const wantsSha512 = algorithmOf(claimed) === 'sha512'
  if (body.length !== 0) {
    const hash = await receive(registry, session, offset, body, signal, claimed)
    const isPartial = hash.countsOnly || (wantsSha512 && !hash.sha512)
    const whole = isPartial ? await readAgain(registry, session, wantsSha512) : hash
    return { size: whole.offset, digests: digestsOf(whole), intact: session.size <= offset }
  }
  if (body.range && body.range.start !== offset) throw outOfOrder(offset)
  const running = registry.live.hash(session)
  if (offset > 0 && running?.offset === offset && (running.sha512 || !wantsSha512)) {
    return { size: offset, digests: digestsOf(running), intact: true }
  }
  if (!wantsSha512 && offset === session.size && session.digest !== null && isOfThisRun(registry, session)) {
    return { size: offset, digests: { sha256: session.digest, sha512: undefined }, intact: true }
  }
  if (offset === 0 && session.size > 0) await takeBackBlob(registry, session)
  if (offset === 0 && session.size === 0) {
    await (await registry.storage.append(bytesIdOf(session), 0)).close()
  }
  // Also where the row has the digest of that size: a loss of power may leave the row, and take the bytes.
  const hash = await readAgain(registry, session, wantsSha512)
  const digests = digestsOf(hash)
  const asRecorded = session.digest === null || digests.sha256 === session.digest
  const intact = session.size < hash.offset || (session.size === hash.offset && asRecorded)
  return { size: hash.offset, digests, intact }
}

/** Another process of this system hashed the bytes as it wrote them, and the system, which has them, runs since. */
function isOfThisRun({ boot }: Registry, session: UploadRecord): boolean {
  return boot !== '' && session.boot === boot
}

/**
 * A close that was cut short had named the bytes, and nothing recorded them: the blob becomes the bytes of the upload again,
 * which are then hashed and stored as any others. The row knows their digest: so the client did send them.
 */
async function takeBackBlob(registry: Registry, session: UploadRecord): Promise<void> {
  const { digest } = session
  const id = bytesIdOf(session)
  const reader = digest === null ? undefined : await registry.storage.open(digest)
  try {
    const writer = await registry.storage.append(id, 0)
    try {
      for await (const chunk of reader?.chunks() ?? []) await writer.write(Buffer.from(chunk))
    } finally {
      await writer.close()
    }
  } catch (error) {
    await registry.storage.discard(id)
    throw error
  } finally {
    await reader?.close()
  }
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
