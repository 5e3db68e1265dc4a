import type { BlobStorage } from '#blobs/store.ts'
import { type Digest, DigestHash } from '#oci/digest.ts'

/**
 * Copies a blob from one store to another, hashing it on the way; false when it is not there.
 * @throws Error when the bytes do not have their digest: nothing is stored then
 */
export async function copyBlob(
  from: BlobStorage,
  to: BlobStorage,
  digest: Digest,
  temporaryId: string,
): Promise<boolean> {
  const reader = await from.open(digest)
  if (!reader) return false
  try {
    const hash = new DigestHash('sha256')
    const writer = await to.append(temporaryId, 0, digest)
    try {
      for await (const chunk of reader.chunks()) {
        hash.update(chunk)
        // The chunk is lent, and the writer keeps what it is given.
        await writer.write(Buffer.from(chunk))
      }
    } finally {
      await writer.close()
    }
    const actual = hash.finish()
    if (actual !== digest) throw new Error(`${digest} has bytes of ${actual}, and is not moved`)
    await to.commit(temporaryId, digest)
    return true
  } catch (error) {
    await to.discard(temporaryId).catch(() => {})
    throw error
  } finally {
    await reader.close()
  }
}
