// What this process knows of uploads that are being written: the running hash, and who writes now.
import type { UploadClaim } from '#db/uploads.ts'
import { type Digest, DigestHash } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

/** A hash of the first `offset` bytes: sha256 always, and the algorithm that the client asked for. */
export interface RunningHash {
  offset: number
  readonly sha256: DigestHash
  readonly sha512: DigestHash | undefined
  /** The bytes before the first that were seen here are not in it: it only counts, and the end reads all of them once. */
  readonly countsOnly: boolean
}

/** For bytes behind those that another process received. */
export function countFrom(offset: number): RunningHash {
  return { ...newRunningHash(false), offset, countsOnly: true }
}

export function newRunningHash(withSha512: boolean): RunningHash {
  return {
    offset: 0,
    sha256: new DigestHash('sha256'),
    sha512: withSha512 ? new DigestHash('sha512') : undefined,
    countsOnly: false,
  }
}

export function advance(hash: RunningHash, chunk: Uint8Array): void {
  hash.offset += chunk.length
  if (hash.countsOnly) return
  hash.sha256.update(chunk)
  hash.sha512?.update(chunk)
}

export interface UploadDigests {
  readonly sha256: Digest
  readonly sha512: Digest | undefined
}

export function digestsOf(hash: RunningHash): UploadDigests {
  return { sha256: hash.sha256.peek(), sha512: hash.sha512?.peek() }
}

interface Kept {
  /** The claim that it was computed under: one of another process makes it worthless. */
  readonly claims: number
  readonly hash: RunningHash
}

interface Holder {
  readonly abort: AbortController
  readonly settled: Promise<void>
}

/**
 * One writer an upload: a newer request takes the upload over, since the older is a connection that its client gave up.
 * Hashes are kept for as many uploads as may be open; one that was dropped is computed again from the bytes.
 */
export class LiveUploads {
  readonly #hashesMax: number
  readonly #hashes = new Map<string, Kept>()
  readonly #holders = new Map<string, Holder>()

  constructor(hashesMax: number) {
    this.#hashesMax = hashesMax
  }

  /** @throws OciError UPLOAD_BUSY when a newer request takes over while this one waits or works */
  async hold<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const earlier = this.#holders.get(id)
    const abort = new AbortController()
    let settle = () => {}
    const settled = new Promise<void>((resolve) => {
      settle = resolve
    })
    const holder: Holder = { abort, settled }
    this.#holders.set(id, holder)
    try {
      if (earlier) {
        earlier.abort.abort(new OciError('UPLOAD_BUSY'))
        await earlier.settled
      }
      abort.signal.throwIfAborted()
      return await work(abort.signal)
    } finally {
      if (this.#holders.get(id) === holder) this.#holders.delete(id)
      settle()
    }
  }

  /** Whether a request works on the upload now. */
  isHeld(id: string): boolean {
    return this.#holders.has(id)
  }

  hash({ id, claims }: UploadClaim): RunningHash | undefined {
    const kept = this.#hashes.get(id)
    return kept?.claims === claims ? kept.hash : undefined
  }

  keep({ id, claims }: UploadClaim, hash: RunningHash): void {
    this.#hashes.delete(id)
    if (this.#hashes.size >= this.#hashesMax) {
      const oldest = this.#hashes.keys().next().value
      if (oldest !== undefined) this.#hashes.delete(oldest)
    }
    this.#hashes.set(id, { claims, hash })
  }

  /** After a new claim: what we know goes on when our own claim was the last one, and all that it wrote is in the row. */
  carry({ id, claims, size }: UploadClaim & { readonly size: number }): void {
    const kept = this.#hashes.get(id)
    if (kept?.claims === claims - 1 && kept.hash.offset === size) this.keep({ id, claims }, kept.hash)
    else this.forget(id)
  }

  forget(id: string): void {
    this.#hashes.delete(id)
  }
}
