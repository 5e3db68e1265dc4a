// Takes a manifest out of a repository, within a transaction: by a client, by retention, by the collection of garbage.

import { unlinkBlob } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobsOfManifest, dropDeleted, keepDeleted } from '#db/deleted-manifests.ts'
import { deleteManifest, type ManifestRecord } from '#db/manifests.ts'
import { unneededOf } from '#db/stale-holdings.ts'
import { tagsOfManifest } from '#db/tags.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Registry } from '#registry/registry.ts'

export interface Removal {
  readonly repositoryId: number
  readonly repository: RepositoryName
  readonly manifest: ManifestRecord
  readonly caller: Caller
  /** Whether it can be restored. */
  readonly isRecoverable: boolean
  readonly now: number
}

/** Ids of the blobs that it needed. */
export async function removeManifest(
  tx: Transaction,
  { settings }: Pick<Registry, 'settings'>,
  { repositoryId, repository, manifest, caller, isRecoverable, now }: Removal,
): Promise<readonly number[]> {
  const { id, digest, mediaType, size } = manifest
  for (const tag of await tagsOfManifest(tx, id))
    await recordEvent(tx, 'tag.deleted', { repository, tag, digest }, caller, now)
  const blobIds = await blobsOfManifest(tx, id)
  const by = principalName(caller.principal) ?? null
  if (isRecoverable && settings.deletedWindowMs > 0) await keepDeleted(tx, { id, blobIds }, { by, now })
  else await dropDeleted(tx, repositoryId, digest)
  await deleteManifest(tx, id)
  await recordEvent(tx, 'manifest.deleted', { repository, digest, mediaType, size }, caller, now)
  // Invisible with it, unless a push may be about to need them; what is younger is left to the collection of garbage.
  const before = isRecoverable ? now - settings.graceMs : Number.MAX_SAFE_INTEGER
  for (const blob of await unneededOf(tx, { repositoryId, blobIds, before })) {
    await unlinkBlob(tx, repositoryId, blob.blobId)
    const fact = { repository, digest: blob.digest, size: blob.size }
    await recordEvent(tx, 'blob.deleted', fact, caller, now)
  }
  return blobIds
}
