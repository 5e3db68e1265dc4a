// An open upload in a bucket: pieces that lie one behind the other, each an object named by where it begins.
//
//   <root>/stowage/uploads/<id>/<offset, 16 digits>
//
// Objects and not the parts of a multipart upload, which nobody can read until it is complete: another process must be able
// to hash what is there. Every piece but the last is large enough to become a part of the blob, which is put together by the
// server. Whatever does not continue the chain is left over from a crash or from bytes that were taken back.
import { uploadPath } from '#blobs/layout.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { OciError } from '#oci/errors.ts'

const MiB = 1024 * 1024
/** S3 takes no part below this, but for the last. */
export const PART_BYTES_MIN = 5 * MiB
const OFFSET_DIGITS = 16
const OFFSET = /^[0-9]{16}$/

export interface Piece {
  readonly offset: number
  readonly size: number
  readonly etag: string
}

export interface Chain {
  readonly pieces: readonly Piece[]
  /** Bytes of all pieces. */
  readonly size: number
  /** Milliseconds since 1970, of the youngest piece; 0 where this process wrote them. */
  readonly modifiedAt: number
  /** The bytes of the last piece, where they are at hand. */
  readonly tail?: Buffer | undefined
  /** False while objects of an earlier life of the upload may lie behind the chain. */
  readonly isClean: boolean
}

export const EMPTY_CHAIN: Chain = { pieces: [], size: 0, modifiedAt: 0, isClean: false }

export function pieceFolder(id: string): string {
  return `${uploadPath(id)}/`
}

export function piecePath(id: string, offset: number): string {
  return `${pieceFolder(id)}${String(offset).padStart(OFFSET_DIGITS, '0')}`
}

/** What is in the bucket, undefined when there is nothing of that id; `strays` do not belong to the chain. */
export async function listChain(
  bucket: Bucket,
  id: string,
): Promise<{ readonly chain: Chain; readonly strays: readonly string[] } | undefined> {
  const folder = pieceFolder(id)
  const pieces: Piece[] = []
  const strays: string[] = []
  let size = 0
  let modifiedAt = 0
  for await (const object of bucket.list(folder)) {
    const name = object.path.slice(folder.length)
    const last = pieces.at(-1)
    const continues = OFFSET.test(name) && Number(name) === size && (!last || last.size >= PART_BYTES_MIN)
    if (!continues) {
      strays.push(object.path)
      continue
    }
    pieces.push({ offset: size, size: object.size, etag: object.etag })
    size += object.size
    modifiedAt = Math.max(modifiedAt, object.modifiedAt)
  }
  if (pieces.length === 0) return strays.length === 0 ? undefined : { chain: EMPTY_CHAIN, strays }
  return { chain: { pieces, size, modifiedAt, isClean: strays.length === 0 }, strays }
}

/**
 * Bytes of the piece of that number, from 0: they grow, so that the 10,000 parts that S3 takes hold a large blob.
 * @throws OciError BODY_TOO_LARGE beyond them
 */
export function pieceBytesAt(index: number, partBytes: number): number {
  if (index >= PARTS_MAX) throw new OciError('BODY_TOO_LARGE', { detail: { partsMax: PARTS_MAX } })
  return partBytes * 2 ** Math.floor(index / PARTS_OF_ONE_SIZE)
}

/** S3's own limit. */
const PARTS_MAX = 10_000
/** With parts of 10 MiB: 20 GiB until they double, 605 GiB in all. */
const PARTS_OF_ONE_SIZE = 2_000
