// Reads exact lengths from a stream of chunks. A chunk may be lent: nothing of it is kept once the next one is asked for.

const EMPTY: Uint8Array = new Uint8Array(0)

export class ByteCursor {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = EMPTY
  #ended = false

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Exactly `length` bytes of our own, fewer only where the stream ends. The caller bounds length. */
  async take(length: number): Promise<Buffer> {
    const taken = Buffer.allocUnsafe(length)
    let filled = 0
    while (filled < length) {
      const piece = await this.next(length - filled)
      if (piece === undefined) return taken.subarray(0, filled)
      taken.set(piece, filled)
      filled += piece.length
    }
    return taken
  }

  /** The next 1 to lengthMax bytes, lent until the next call; undefined at the end of the stream. */
  async next(lengthMax: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      if (this.#ended) return undefined
      const { value, done } = await this.#chunks.next()
      if (done) {
        this.#ended = true
        return undefined
      }
      this.#rest = value
    }
    const piece = this.#rest.subarray(0, lengthMax)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }

  /** Passes over `length` bytes; returns how many there were. */
  async skip(length: number): Promise<number> {
    let skipped = 0
    while (skipped < length) {
      const piece = await this.next(length - skipped)
      if (piece === undefined) break
      skipped += piece.length
    }
    return skipped
  }

  /** Ends the stream below. */
  async close(): Promise<void> {
    this.#rest = EMPTY
    if (this.#ended) return
    this.#ended = true
    await this.#chunks.return?.()
  }
}
