// Gathers an upload into parts and sends them while more arrives.
//
// Memory per upload: one part that fills, and at most FLIGHTS_MAX on their way.
import { releaseChunk } from '#blobs/release-chunk.ts'
import type { PartBuffers } from '#blobs/s3/part-buffers.ts'
import type { UploadWriter } from '#blobs/store.ts'

const FLIGHTS_MAX = 2

export interface Part {
  /** From 0. */
  readonly index: number
  /** Where it begins in the upload. */
  readonly offset: number
  readonly bytes: Buffer
}

/** Where parts go. */
export interface PartTarget {
  /** Parts of this length are sent; the last may be shorter. */
  bytesOf(index: number): number
  send(part: Part): Promise<void>
  /** Takes what is left behind the parts that were sent, which have arrived; its memory is used again afterwards. */
  finish(rest: Part): Promise<void>
  /** Something was lost. */
  fail(): void
}

export interface PartWriterOptions {
  readonly target: PartTarget
  readonly buffers: PartBuffers
  /** The part that the first bytes belong to, and where it begins. */
  readonly index: number
  readonly partOffset: number
  /** What stands in that part already. */
  readonly begun?: Buffer | undefined
}

export class PartWriter implements UploadWriter {
  readonly #target: PartTarget
  readonly #buffers: PartBuffers
  #index: number
  #partOffset: number
  #partBytes: number
  #buffer: Buffer | undefined
  #used = 0
  readonly #flights = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined
  #closing: Promise<void> | undefined

  constructor({ target, buffers, index, partOffset, begun }: PartWriterOptions) {
    this.#target = target
    this.#buffers = buffers
    this.#index = index
    this.#partOffset = partOffset
    this.#partBytes = Math.max(target.bytesOf(index), begun?.length ?? 0)
    if (begun) this.#gather(begun, 0, begun.length)
  }

  get offset(): number {
    return this.#partOffset + this.#used
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure) return Promise.reject(this.#failure.error)
    if (this.#closing) return Promise.reject(new Error('the upload writer is closed'))
    if (chunk.length === 0) return undefined
    if (this.#used + chunk.length > this.#partBytes) return this.#writeAcross(chunk)
    this.#gather(chunk, 0, chunk.length)
    releaseChunk(chunk)
    return this.#used < this.#partBytes ? undefined : this.#ship()
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  async #writeAcross(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.length; ) {
      const end = Math.min(chunk.length, start + this.#partBytes - this.#used)
      this.#gather(chunk, start, end)
      start = end
      if (this.#used === this.#partBytes) await this.#ship()
    }
    releaseChunk(chunk)
  }

  #gather(chunk: Uint8Array, start: number, end: number): void {
    const used = this.#used + end - start
    if (!this.#buffer || this.#buffer.length < used)
      this.#buffer = this.#buffers.grown(this.#buffer, this.#used, used, this.#partBytes)
    this.#buffer.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end), this.#used)
    this.#used = used
  }

  /** Sends the part, at once when others leave it room. */
  #ship(): Promise<void> | undefined {
    if (this.#flights.size >= FLIGHTS_MAX) return this.#shipWhenThereIsRoom()
    try {
      this.#launch()
      return undefined
    } catch (error) {
      this.#fail(error)
      return Promise.reject(error)
    }
  }

  async #shipWhenThereIsRoom(): Promise<void> {
    while (this.#flights.size >= FLIGHTS_MAX) await Promise.race(this.#flights)
    if (this.#failure) throw this.#failure.error
    this.#launch()
  }

  #launch(): void {
    const buffer = this.#buffer
    if (!buffer) return
    const part = { index: this.#index, offset: this.#partOffset, bytes: buffer.subarray(0, this.#used) }
    this.#partBytes = this.#target.bytesOf(this.#index + 1)
    this.#index += 1
    this.#partOffset += this.#used
    this.#buffer = undefined
    this.#used = 0
    const flight = this.#target
      .send(part)
      .then(
        () => this.#buffers.giveBack(buffer),
        // A request that failed may still read its memory: that is not used again.
        (error) => this.#fail(error),
      )
      .finally(() => this.#flights.delete(flight))
    this.#flights.add(flight)
  }

  async #finish(): Promise<void> {
    while (this.#flights.size > 0) await Promise.race(this.#flights)
    if (!this.#failure) {
      const buffer = this.#buffer
      const bytes = buffer?.subarray(0, this.#used) ?? Buffer.alloc(0)
      try {
        await this.#target.finish({ index: this.#index, offset: this.#partOffset, bytes })
        if (buffer) this.#buffers.giveBack(buffer)
      } catch (error) {
        this.#fail(error)
      }
    }
    this.#buffer = undefined
    if (this.#failure) throw this.#failure.error
  }

  #fail(error: unknown): void {
    if (this.#failure) return
    this.#failure = { error }
    this.#target.fail()
  }
}
