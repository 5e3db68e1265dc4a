// Whether stored bytes are what they are called.
import { hasDigest } from '#blobs/has-digest.ts'
import { type BlobRecord, findBlob, forgetBlob, setBlobVerified } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobLock } from '#db/locks.ts'
import { OciError } from '#oci/errors.ts'
import type { Registry } from '#registry/registry.ts'

/**
 * Hashes bytes that another program wrote, once, before they are first served. Bytes that do not have their digest are
 * forgotten: what is broken is absent, never served.
 */
export async function verifyBlob(registry: Registry, blob: BlobRecord): Promise<boolean> {
  return registry.verifying.run(blob.digest, async () => {
    const current = await findBlob(registry.db, blob.digest)
    if (!current) return false
    if (current.verifiedAt !== null) return true
    const sound = (await hasDigest(registry.storage, blob.digest)) === true
    const record = async (tx: Transaction) => {
      // A push of the same bytes may have replaced what we hashed.
      const latest = await findBlob(tx, blob.digest)
      if (!latest || latest.verifiedAt !== null) return latest !== undefined
      if (sound) await setBlobVerified(tx, latest.id, registry.now())
      else await forgetBlob(tx, latest.id)
      return sound
    }
    const isServed = await registry.db
      .transaction(record, { locks: [blobLock(blob.digest)] })
      .catch((error) => {
        // A full disk only keeps us from remembering what we know: it is hashed again the next time.
        if (error instanceof OciError && error.reason === 'STORAGE_FULL') return sound
        throw error
      })
    if (!isServed)
      registry.log.warn('stored bytes do not have their digest and are not served', { digest: blob.digest })
    return isServed
  })
}
