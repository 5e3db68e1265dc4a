// Deletes one image at once and for good: a secret that leaked into a layer must not wait for a grace or a window.
import { databaseNow } from '#db/clock.ts'
import type { Transaction } from '#db/db.ts'
import { blobsOfDeleted, blobsOfManifest, dropDeleted, findDeleted } from '#db/deleted-manifests.ts'
import { beginDeleting, condemnUnheld, namesOfBlobs } from '#db/garbage.ts'

import { blobLock, repositoryLock } from '#db/locks.ts'
import { findManifest, findTaggedManifest } from '#db/manifests.ts'
import { findRepository } from '#db/repositories.ts'
import type { Caller } from '#identity/caller.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { formatReference, type Reference, type RepositoryName } from '#oci/reference.ts'
import { checkGuards, confirmChange } from '#registry/guards.ts'
import type { Registry } from '#registry/registry.ts'
import { removeManifest } from '#registry/remove-manifest.ts'

export interface Purged {
  readonly digest: Digest
  /** Blobs whose bytes are deleted; the others are needed by something else. */
  readonly blobs: number
  readonly bytes: number
}

/**
 * Deletes a manifest, with its tags, or one that was deleted and could be restored; and the bytes of all that only it needed.
 * For a minute nobody can push the same bytes.
 * @throws OciError MANIFEST_UNKNOWN, or what a guard says
 */
export async function purgeManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
): Promise<Purged> {
  const { db } = registry
  await checkGuards(registry.guards, { kind: 'delete-manifest', repository, reference }, caller)
  const live =
    reference.digest === undefined
      ? await findTaggedManifest(db, repository, reference.tag)
      : await findManifest(db, repository, reference.digest)
  const digest = live?.digest ?? reference.digest
  const deleted = digest && (await findDeleted(db, repository, digest, 0))
  const sha256 = (live ?? deleted)?.blobDigest
  if (digest === undefined || sha256 === undefined) throw unknown(repository, reference)
  const ids = [
    ...(live ? await blobsOfManifest(db, live.id) : []),
    ...(deleted ? await blobsOfDeleted(db, deleted.id) : []),
  ]
  const now = registry.now()
  const purge = async (tx: Transaction) => {
    const holder = await findRepository(tx, repository)
    const manifest = await findManifest(tx, repository, digest)
    if (!holder || manifest?.id !== live?.id) throw unknown(repository, reference)
    if (manifest) {
      const change = { kind: 'delete-manifest', repository, manifestId: manifest.id } as const
      await confirmChange(tx, registry.guards, change, caller)
      const removal = { repositoryId: holder.id, repository, manifest, caller, now }
      await removeManifest(tx, registry, { ...removal, isRecoverable: false })
    }
    await dropDeleted(tx, holder.id, digest)
    const at = await databaseNow(tx)
    const unheld = await condemnUnheld(tx, ids, at)
    return unheld.length === 0 ? [] : beginDeleting(tx, unheld, { condemnedBefore: at, now: at })
  }
  const locks = [repositoryLock(repository), ...(await namesOfBlobs(db, ids)).map(blobLock)]
  const going = await db.transaction(purge, { mayUseReserve: true, locks })
  registry.announce()
  let bytes = 0
  for (const blob of going) {
    await registry.storage.delete(blob.digest)
    registry.content.delete(blob.digest)
    bytes += blob.size
  }
  // The rows stay until a collection of garbage: whoever is about to record the same bytes meets them, and waits.
  registry.log.warn('an image was purged', { repository, digest, blobs: going.length, bytes })
  return { digest, blobs: going.length, bytes }
}

function unknown(repository: RepositoryName, reference: Reference): OciError {
  return new OciError('MANIFEST_UNKNOWN', { detail: { repository, reference: formatReference(reference) } })
}
