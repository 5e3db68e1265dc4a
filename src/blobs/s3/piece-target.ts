// Keeps the parts of an upload as pieces that any process can read and continue.
import type { Bucket } from '#blobs/s3/bucket.ts'
import type { Part, PartTarget } from '#blobs/s3/part-writer.ts'
import { type Chain, listChain, type Piece, pieceBytesAt, piecePath } from '#blobs/s3/piece-chain.ts'

export interface PieceTargetOptions {
  readonly bucket: Bucket
  readonly id: string
  readonly partBytes: number
  /** The pieces that stay as they are; the first part goes behind them, perhaps in the place of a piece that is there. */
  readonly before: Chain
  readonly onDone: (chain: Chain) => void
  readonly onFailed: () => void
}

export class PieceTarget implements PartTarget {
  readonly #options: PieceTargetOptions
  readonly #pieces: Piece[]
  #cleaning: Promise<void> | undefined

  constructor(options: PieceTargetOptions) {
    this.#options = options
    this.#pieces = [...options.before.pieces]
  }

  bytesOf(index: number): number {
    return pieceBytesAt(index, this.#options.partBytes)
  }

  /** Only a piece that is whole can be continued by what an earlier life of the upload left: so that is removed before. */
  async send({ index, offset, bytes }: Part): Promise<void> {
    if (!this.#options.before.isClean) {
      this.#cleaning ??= this.#removeStrays()
      await this.#cleaning
    }
    await this.#write(index, offset, bytes)
  }

  async finish({ index, offset, bytes }: Part): Promise<void> {
    const { before, onDone } = this.#options
    // An upload without bytes exists too.
    if (bytes.length > 0 || index === 0) await this.#write(index, offset, bytes)
    const size = offset + bytes.length
    const isClean = before.isClean || this.#cleaning !== undefined
    const tail = bytes.length > 0 ? { tail: Buffer.from(bytes) } : {}
    onDone({ pieces: this.#pieces, size, modifiedAt: 0, isClean, ...tail })
  }

  fail(): void {
    this.#options.onFailed()
  }

  async #write(index: number, offset: number, bytes: Buffer): Promise<void> {
    const { bucket, id } = this.#options
    const etag = await bucket.put(piecePath(id, offset), bytes)
    this.#pieces[index] = { offset, size: bytes.length, etag }
  }

  async #removeStrays(): Promise<void> {
    const { bucket, id, before } = this.#options
    const found = await listChain(bucket, id)
    if (!found) return
    // What our first part replaces stays until then: the client was told that it has arrived.
    const others = found.chain.pieces.filter((piece) => piece.offset > before.size)
    await bucket.deleteAll([...found.strays, ...others.map((piece) => piecePath(id, piece.offset))])
  }
}
