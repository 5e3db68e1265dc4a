import type { BlobStat, BlobStore } from '#blobs/store.ts'
import type { StoredSizes } from '#maintenance/scan/stored-sizes.ts'
import type { Digest } from '#oci/digest.ts'

export type ReadableStore = Pick<BlobStore, 'stat' | 'open' | 'read'>

/** A store that is asked only about what the listing did not have: what was written since. */
export function scannedStore(store: ReadableStore, sizes: StoredSizes): ReadableStore {
  return {
    async stat(digest: Digest): Promise<BlobStat | undefined> {
      return sizes.get(digest) ?? store.stat(digest)
    },
    open: (digest) => store.open(digest),
    read: (digest, maxBytes) => store.read(digest, maxBytes),
  }
}
