import type { BlobStore } from '#blobs/store.ts'
import { type Digest, DigestHash } from '#oci/digest.ts'

/** Whether the stored bytes hash to their sha256; undefined when there are none. */
export async function hasDigest(store: BlobStore, digest: Digest): Promise<boolean | undefined> {
  const reader = await store.open(digest)
  if (!reader) return undefined
  try {
    const hash = new DigestHash('sha256')
    for await (const chunk of reader.chunks()) hash.update(chunk)
    return hash.finish() === digest
  } finally {
    await reader.close()
  }
}
