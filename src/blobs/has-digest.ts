import type { BlobReader, BlobStore } from '#blobs/store.ts'
import { type Digest, DigestHash } from '#oci/digest.ts'

/** Whether the stored bytes hash to their sha256; undefined when there are none. */
export async function hasDigest(store: BlobStore, digest: Digest): Promise<boolean | undefined> {
  const reader = await store.open(digest)
  return reader && readsAs(reader, digest)
}

/** Reads to the end, and closes. `onChunk` is waited for after each piece. */
export async function readsAs(
  reader: BlobReader,
  digest: Digest,
  onChunk?: (bytes: number) => Promise<void>,
): Promise<boolean> {
  try {
    const hash = new DigestHash('sha256')
    for await (const chunk of reader.chunks()) {
      hash.update(chunk)
      await onChunk?.(chunk.length)
    }
    return hash.finish() === digest
  } finally {
    await reader.close()
  }
}
