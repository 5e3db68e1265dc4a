// Makes the pieces of an upload a blob at its place, without their bytes passing through us again.
import { blobPath } from '#blobs/layout.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { Multipart } from '#blobs/s3/multipart.ts'
import { type Chain, piecePath } from '#blobs/s3/piece-chain.ts'
import { isAbsent, isChanged, s3Failure } from '#blobs/s3/s3-failure.ts'
import { inTurns } from '#lib/in-turns.ts'
import { type Digest, encodedOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

/**
 * Takes exactly the pieces of the chain, by their etags: what was hashed.
 * @throws OciError UPLOAD_BUSY when another process has replaced one, BLOB_UPLOAD_UNKNOWN when one is gone
 */
export async function putTogether(
  bucket: Bucket,
  { id, chain, digest, copiesAtOnce }: { id: string; chain: Chain; digest: Digest; copiesAtOnce: number },
): Promise<void> {
  const target = blobPath(digest)
  const [first] = chain.pieces
  if (chain.tail?.length === chain.size)
    return void (await bucket.putHashed(target, chain.tail, encodedOf(digest)))
  try {
    if (first && chain.pieces.length === 1) await bucket.copy(piecePath(id, first.offset), first.etag, target)
    else await copyParts(bucket, { id, chain, target, copiesAtOnce })
  } catch (error) {
    if (isChanged(error)) throw new OciError('UPLOAD_BUSY', { cause: error })
    if (isAbsent(error)) throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id }, cause: error })
    throw s3Failure(error, `putting ${target} together`)
  }
}

async function copyParts(
  bucket: Bucket,
  { id, chain, target, copiesAtOnce }: { id: string; chain: Chain; target: string; copiesAtOnce: number },
): Promise<void> {
  const parts = await Multipart.begin(bucket, target)
  try {
    const numbered = chain.pieces.map((piece, index) => ({ ...piece, number: index + 1 }))
    await inTurns(numbered, copiesAtOnce, ({ number, offset, etag, size }) =>
      parts.copy(number, { path: piecePath(id, offset), etag, size }),
    )
    await parts.complete()
  } catch (error) {
    await parts.abort()
    throw error
  }
}
