// What a push relies on is taken back from deletion; what a manifest refers to is looked up again in the transaction that
// records it: there nobody can take it away any more.
import { findBlob, findRepositoryBlob, type HeldBlobRecord, linkBlob, reviveBlob } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobLock } from '#db/locks.ts'
import { findManifest } from '#db/manifests.ts'
import { ensureRepository } from '#db/repositories.ts'
import { together } from '#lib/together.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Registry } from '#registry/registry.ts'

export function isCondemned(blob: HeldBlobRecord): boolean {
  return blob.condemnedAt !== null || blob.linkCondemnedAt !== null
}

/** Who is told that a blob is there pushes a manifest with it next, perhaps much later: its grace begins anew then. */
export async function keepForPush(
  registry: Registry,
  repository: RepositoryName,
  blob: HeldBlobRecord,
): Promise<void> {
  const now = registry.now()
  const isKept = await registry.db.transaction(
    async (tx) => {
      const held = await findRepositoryBlob(tx, repository, blob.digest)
      if (held) await keepHeldBlob(tx, repository, held, now)
      return held !== undefined
    },
    { durable: false, mayUseReserve: true, locks: [blobLock(blob.digest)] },
  )
  if (!isKept) throw new OciError('BLOB_UNKNOWN', { detail: { repository, digest: blob.digest } })
}

/** Takes back what would be deleted, from this repository or altogether. @throws BlobGoing */
export async function keepHeldBlob(
  tx: Transaction,
  repository: RepositoryName,
  held: HeldBlobRecord,
  now: number,
): Promise<void> {
  if (held.condemnedAt !== null) await reviveBlob(tx, held)
  if (held.linkCondemnedAt === null) return
  const { id: repositoryId } = await ensureRepository(tx, repository, now)
  await linkBlob(tx, { repositoryId, blobId: held.id, now })
}

/**
 * Config and layers.
 * @param present what was there when the manifest was checked
 * @throws OciError MANIFEST_BLOB_UNKNOWN for what has vanished since
 */
export async function keepContent(
  tx: Transaction,
  repository: RepositoryName,
  content: readonly Descriptor[],
  present: ReadonlySet<Digest>,
  now: number,
): Promise<{ readonly blobIds: number[]; readonly missing: Digest[] }> {
  const blobIds: number[] = []
  const missing: Digest[] = []
  const found = await together(content.map(({ digest }) => findRepositoryBlob(tx, repository, digest)))
  for (const [index, { digest }] of content.entries()) {
    const held = found[index]
    if (held) await keepHeldBlob(tx, repository, held, now)
    else if (present.has(digest)) throw vanished(repository, digest)
    const blob = held ?? (await findBlob(tx, digest))
    if (blob && !blob.deleting) {
      if (!held && blob.condemnedAt !== null) await reviveBlob(tx, blob)
      blobIds.push(blob.id)
    } else missing.push(digest)
  }
  return { blobIds, missing }
}

/** Manifests that an index lists; it may list blobs too. @throws OciError MANIFEST_BLOB_UNKNOWN */
export async function keepChildren(
  tx: Transaction,
  repository: RepositoryName,
  children: readonly Digest[],
  present: ReadonlySet<Digest>,
  now: number,
): Promise<void> {
  const found = await together(children.map((digest) => findManifest(tx, repository, digest)))
  for (const [index, digest] of children.entries()) {
    if (found[index]) continue
    const held = await findRepositoryBlob(tx, repository, digest)
    if (held) await keepHeldBlob(tx, repository, held, now)
    else if (present.has(digest)) throw vanished(repository, digest)
  }
}

function vanished(repository: RepositoryName, digest: Digest): OciError {
  return new OciError('MANIFEST_BLOB_UNKNOWN', { detail: { repository, missing: [{ digest }] } })
}
