// An upload whose digest was named before its bytes came: they go straight to their place, in one request or in parts that
// nobody sees before they are complete. Nobody can read them back either: who breaks off begins again.
import { blobPath } from '#blobs/layout.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { Multipart } from '#blobs/s3/multipart.ts'
import type { Part, PartTarget } from '#blobs/s3/part-writer.ts'
import { pieceBytesAt } from '#blobs/s3/piece-chain.ts'
import { type Digest, encodedOf } from '#oci/digest.ts'

export class DirectUpload implements PartTarget {
  readonly digest: Digest
  readonly #bucket: Bucket
  readonly #partBytes: number
  #parts: Promise<Multipart> | undefined
  /** All bytes, where they are few. */
  #whole: Buffer | undefined
  #dropped = false

  constructor(bucket: Bucket, digest: Digest, partBytes: number) {
    this.#bucket = bucket
    this.digest = digest
    this.#partBytes = partBytes
  }

  bytesOf(index: number): number {
    return pieceBytesAt(index, this.#partBytes)
  }

  async send({ index, bytes }: Part): Promise<void> {
    this.#parts ??= Multipart.begin(this.#bucket, blobPath(this.digest))
    await (await this.#parts).send(index + 1, bytes)
  }

  async finish(rest: Part): Promise<void> {
    if (!this.#parts) this.#whole = Buffer.from(rest.bytes)
    else if (rest.bytes.length > 0) await this.send(rest)
  }

  fail(): void {
    void this.drop()
  }

  /** False when there is nothing to commit: bytes were lost, or never all came. */
  async commit(): Promise<boolean> {
    if (this.#dropped) return false
    if (this.#parts) await (await this.#parts).complete()
    else if (this.#whole)
      await this.#bucket.putHashed(blobPath(this.digest), this.#whole, encodedOf(this.digest))
    else return false
    return true
  }

  async drop(): Promise<void> {
    this.#dropped = true
    this.#whole = undefined
    const parts = await this.#parts?.catch(() => undefined)
    await parts?.abort()
  }
}
