// Open uploads in a bucket: continued by any process, committed exactly as they were hashed.
import { blobPath, isUploadId, SHA256_FOLDER, UPLOADS_FOLDER, uploadPath } from '#blobs/layout.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { collect } from '#blobs/s3/collect.ts'
import { DirectUpload } from '#blobs/s3/direct-upload.ts'
import { KnownChains } from '#blobs/s3/known-chains.ts'
import { abortMultiparts } from '#blobs/s3/multipart.ts'
import { ObjectReader } from '#blobs/s3/object-reader.ts'
import { PartBuffers } from '#blobs/s3/part-buffers.ts'
import { PartWriter } from '#blobs/s3/part-writer.ts'
import {
  type Chain,
  EMPTY_CHAIN,
  listChain,
  PART_BYTES_MIN,
  type Piece,
  pieceBytesAt,
  pieceFolder,
  piecePath,
} from '#blobs/s3/piece-chain.ts'
import { PieceTarget } from '#blobs/s3/piece-target.ts'
import { PiecesReader } from '#blobs/s3/pieces-reader.ts'
import { putTogether } from '#blobs/s3/put-together.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import type { BlobReader, Sweeping, UploadStore, UploadWriter } from '#blobs/store.ts'
import { type Digest, DigestHash } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

export class S3Uploads implements UploadStore, Sweeping {
  readonly #bucket: Bucket
  readonly #partBytes: number
  readonly #copiesAtOnce: number
  readonly #buffers: PartBuffers
  readonly #known = new KnownChains()
  /** As many as requests that bring a whole blob: each of them commits or discards. */
  readonly #direct = new Map<string, DirectUpload>()

  constructor(bucket: Bucket, { partBytes, copiesAtOnce }: S3Options) {
    this.#bucket = bucket
    this.#partBytes = partBytes
    this.#copiesAtOnce = copiesAtOnce
    this.#buffers = new PartBuffers(partBytes)
  }

  async size(id: string): Promise<number | undefined> {
    return (await this.#listed(id))?.size
  }

  async append(id: string, offset: number, expected?: Digest): Promise<UploadWriter> {
    uploadPath(id)
    await this.#dropDirect(id)
    if (offset === 0 && expected !== undefined) return this.#directWriter(id, expected)
    if (offset === 0) return this.#pieceWriter(id, EMPTY_CHAIN)
    const known = this.#known.get(id)
    const chain = known?.size === offset ? known : await this.#cleaned(id)
    if (!chain || chain.size < offset)
      throw new OciError('UPLOAD_OUT_OF_ORDER', { detail: { offset, present: chain?.size ?? 0 } })
    const { before, begun, behind } = cut(chain, offset)
    await this.#bucket.deleteAll(behind.map((piece) => piecePath(id, piece.offset)))
    return this.#pieceWriter(id, before, begun && (await this.#bytesOf(id, chain, begun, offset)))
  }

  #directWriter(id: string, expected: Digest): UploadWriter {
    blobPath(expected)
    const target = new DirectUpload(this.#bucket, expected, this.#partBytes)
    this.#direct.set(id, target)
    return new PartWriter({ target, buffers: this.#buffers, index: 0, partOffset: 0 })
  }

  #pieceWriter(id: string, before: Chain, begun?: Buffer): UploadWriter {
    this.#known.forget(id)
    const target = new PieceTarget({
      bucket: this.#bucket,
      id,
      partBytes: this.#partBytes,
      before,
      onDone: (chain) => this.#known.set(id, chain),
      onFailed: () => this.#known.forget(id),
    })
    const [index, partOffset] = [before.pieces.length, before.size]
    return new PartWriter({ target, buffers: this.#buffers, index, partOffset, begun })
  }

  async openUpload(id: string): Promise<BlobReader | undefined> {
    const chain = await this.#listed(id)
    return chain && new PiecesReader(this.#bucket, id, chain)
  }

  async commit(id: string, digest: Digest): Promise<void> {
    blobPath(digest)
    uploadPath(id)
    const direct = this.#direct.get(id)
    if (direct) return this.#commitDirect(id, direct, digest)
    const chain = this.#known.get(id) ?? (await this.#hashed(id, digest))
    this.#known.forget(id)
    await putTogether(this.#bucket, { id, chain, digest, copiesAtOnce: this.#copiesAtOnce })
    // The blob is there: what cannot be removed now is found by the sweeper.
    await this.#bucket.deleteAll(chain.pieces.map((piece) => piecePath(id, piece.offset))).catch(() => {})
  }

  async #commitDirect(id: string, direct: DirectUpload, digest: Digest): Promise<void> {
    try {
      if (direct.digest !== digest) throw new Error(`${id} was begun as ${direct.digest}, not ${digest}`)
      if (!(await direct.commit())) throw unknown(id)
      this.#direct.delete(id)
    } catch (error) {
      await this.#dropDirect(id)
      throw error
    }
  }

  async discard(id: string): Promise<void> {
    uploadPath(id)
    const wasDirect = this.#direct.has(id)
    await this.#dropDirect(id)
    this.#known.forget(id)
    if (wasDirect) return
    const paths: string[] = []
    for await (const { path } of this.#bucket.list(pieceFolder(id))) paths.push(path)
    await this.#bucket.deleteAll(paths)
  }

  async *list(): AsyncGenerator<{ readonly id: string; readonly modifiedAt: number }> {
    let last: { id: string; modifiedAt: number } | undefined
    for await (const { path, modifiedAt } of this.#bucket.list(`${UPLOADS_FOLDER}/`)) {
      const [id = ''] = path.slice(UPLOADS_FOLDER.length + 1).split('/')
      if (!isUploadId(id)) continue
      if (last?.id === id) last.modifiedAt = Math.max(last.modifiedAt, modifiedAt)
      else {
        if (last) yield last
        last = { id, modifiedAt }
      }
    }
    if (last) yield last
  }

  sweep(before: number): Promise<number> {
    return abortMultiparts(this.#bucket, SHA256_FOLDER, before)
  }

  async #dropDirect(id: string): Promise<void> {
    const direct = this.#direct.get(id)
    this.#direct.delete(id)
    await direct?.drop()
  }

  /** What is there now, whatever this process remembers. */
  async #listed(id: string): Promise<Chain | undefined> {
    uploadPath(id)
    const found = await listChain(this.#bucket, id)
    const known = this.#known.get(id)
    this.#known.forget(id)
    if (!found || found.chain.pieces.length === 0) return undefined
    const { chain } = found
    const isSameTail = known?.tail && known.pieces.at(-1)?.etag === chain.pieces.at(-1)?.etag
    const listed = isSameTail ? { ...chain, tail: known.tail } : chain
    this.#known.set(id, listed)
    return listed
  }

  /** The same, without what does not belong to it. */
  async #cleaned(id: string): Promise<Chain | undefined> {
    const found = await listChain(this.#bucket, id)
    if (!found) return undefined
    await this.#bucket.deleteAll(found.strays)
    return { ...found.chain, isClean: true }
  }

  /** Pieces that this process has not seen: they are read once more, since nobody here knows what they hold. */
  async #hashed(id: string, digest: Digest): Promise<Chain> {
    const chain = await this.#listed(id)
    if (!chain) throw unknown(id)
    const hash = new DigestHash('sha256')
    for await (const chunk of new PiecesReader(this.#bucket, id, chain).chunks()) hash.update(chunk)
    if (hash.finish() !== digest) throw new OciError('UPLOAD_BUSY', { detail: { upload: id } })
    return chain
  }

  async #bytesOf(id: string, chain: Chain, piece: Piece, end: number): Promise<Buffer> {
    if (chain.tail && piece === chain.pieces.at(-1)) return chain.tail.subarray(0, end - piece.offset)
    const reader = new ObjectReader(this.#bucket, piecePath(id, piece.offset), { ...piece, modifiedAt: 0 })
    return collect(reader, 0, end - piece.offset)
  }
}

/** What stays of a chain that is continued at an offset within it: the piece there is begun again, those behind it go. */
function cut(chain: Chain, offset: number) {
  const { pieces } = chain
  const last = pieces.length - 1
  const isSmall = (pieces[last]?.size ?? 0) < pieceBytesAt(Math.max(last, 0), PART_BYTES_MIN)
  const found = pieces.findIndex((piece) => piece.offset + piece.size > offset)
  const index = found >= 0 ? found : isSmall ? last : pieces.length
  const begun = pieces[index]
  const before: Chain = {
    pieces: pieces.slice(0, index),
    size: begun?.offset ?? chain.size,
    modifiedAt: 0,
    isClean: chain.isClean,
  }
  return { before, begun, behind: pieces.slice(index + 1) }
}

function unknown(id: string): OciError {
  return new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id } })
}
