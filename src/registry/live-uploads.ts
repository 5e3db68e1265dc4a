// What this process knows of uploads that are being written: the running hash, and who writes now.
import { type Digest, DigestHash } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

/** A hash of the first `offset` bytes: sha256 always, and the algorithm that the client asked for. */
export interface RunningHash {
  offset: number
  readonly sha256: DigestHash
  readonly sha512: DigestHash | undefined
}

export function newRunningHash(withSha512: boolean): RunningHash {
  return {
    offset: 0,
    sha256: new DigestHash('sha256'),
    sha512: withSha512 ? new DigestHash('sha512') : undefined,
  }
}

export function advance(hash: RunningHash, chunk: Uint8Array): void {
  hash.sha256.update(chunk)
  hash.sha512?.update(chunk)
  hash.offset += chunk.length
}

export interface UploadDigests {
  readonly sha256: Digest
  readonly sha512: Digest | undefined
}

export function digestsOf(hash: RunningHash): UploadDigests {
  return { sha256: hash.sha256.peek(), sha512: hash.sha512?.peek() }
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
  readonly #hashes = new Map<string, RunningHash>()
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

  hash(id: string): RunningHash | undefined {
    return this.#hashes.get(id)
  }

  keep(id: string, hash: RunningHash): void {
    this.#hashes.delete(id)
    if (this.#hashes.size >= this.#hashesMax) {
      const oldest = this.#hashes.keys().next().value
      if (oldest !== undefined) this.#hashes.delete(oldest)
    }
    this.#hashes.set(id, hash)
  }

  forget(id: string): void {
    this.#hashes.delete(id)
  }
}
