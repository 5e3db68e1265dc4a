// Memory that parts of uploads are gathered in, used again: a part of a large upload costs no garbage collection.

/** A part begins small, since most uploads are, and grows by this factor until it is whole. */
const FIRST_BYTES = 64 * 1024
const GROWTH = 4
const IDLE_MAX = 32

export class PartBuffers {
  readonly #partBytes: number
  readonly #idle: Buffer[] = []

  constructor(partBytes: number) {
    this.#partBytes = partBytes
  }

  /** A buffer of at least `wanted` bytes, at most `bytesMax`, that holds what stands in `old`, which is given back. */
  grown(old: Buffer | undefined, used: number, wanted: number, bytesMax: number): Buffer {
    let bytes = old ? old.length : FIRST_BYTES
    while (bytes < wanted) bytes *= GROWTH
    bytes = Math.min(bytes, bytesMax)
    const next = (bytes === this.#partBytes ? this.#idle.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes)
    if (old) {
      old.copy(next, 0, 0, used)
      this.giveBack(old)
    }
    return next
  }

  /** Nobody else may hold it, also no request that was given up. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.#partBytes && this.#idle.length < IDLE_MAX) this.#idle.push(buffer)
  }
}
