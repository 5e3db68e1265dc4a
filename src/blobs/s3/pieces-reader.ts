// The bytes of an open upload, piece by piece.
import type { Bucket } from '#blobs/s3/bucket.ts'
import { ObjectReader } from '#blobs/s3/object-reader.ts'
import { type Chain, piecePath } from '#blobs/s3/piece-chain.ts'
import type { BlobReader } from '#blobs/store.ts'

export class PiecesReader implements BlobReader {
  readonly size: number
  readonly modifiedAt: number
  readonly #bucket: Bucket
  readonly #id: string
  readonly #chain: Chain
  #reading: ObjectReader | undefined
  #closed = false

  constructor(bucket: Bucket, id: string, chain: Chain) {
    this.#bucket = bucket
    this.#id = id
    this.#chain = chain
    this.size = chain.size
    this.modifiedAt = chain.modifiedAt
  }

  async *chunks(start = 0, end = this.size): AsyncGenerator<Uint8Array, void, undefined> {
    if (!(start >= 0 && start <= end && end <= this.size))
      throw new RangeError(`bytes ${start} to ${end} of ${this.size}`)
    for (const { offset, size, etag } of this.#chain.pieces) {
      const [from, to] = [Math.max(start - offset, 0), Math.min(end - offset, size)]
      if (from >= to) continue
      if (this.#closed) throw new Error('the blob reader is closed')
      const stat = { size, etag, modifiedAt: this.modifiedAt }
      this.#reading = new ObjectReader(this.#bucket, piecePath(this.#id, offset), stat)
      yield* this.#reading.chunks(from, to)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#reading?.close()
  }
}
