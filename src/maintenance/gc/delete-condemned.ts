// Deletes blobs that were condemned long enough: the second of the two steps. Facts first (nobody holds it any more, and nobody
// can take it back), then the bytes, then the row. After a crash another collection goes on with what is left.
import type { Transaction } from '#db/db.ts'
import {
  ABANDONED_MS,
  aliasesOfBlobs,
  beginDeleting,
  condemnedBlobs,
  dropHoldings,
  forgetDeleted,
} from '#db/garbage.ts'
import { blobLock, NO_LOCKS } from '#db/locks.ts'
import { recordEvent } from '#events/record.ts'
import { internalCaller } from '#identity/caller.ts'
import { Pace } from '#lib/pace.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import type { Digest } from '#oci/digest.ts'

const BLOBS_PER_BATCH = 100
const FILES_AT_ONCE = 8

export interface Deleted {
  blobs: number
  bytes: number
}

interface Going {
  readonly id: number
  readonly digest: Digest
  readonly size: number
}

export interface DeleteOptions {
  /** Condemned at or before this time. Milliseconds since 1970, by the clock of the database. */
  readonly condemnedBefore: number
  readonly signal: AbortSignal
  /** Adds up; kept by the caller, also when this rejects. */
  readonly deleted: Deleted
  readonly onProgress: (deleted: Deleted) => Promise<void>
}

export async function deleteCondemned(
  collector: Collector,
  { condemnedBefore, signal, deleted, onProgress }: DeleteOptions,
): Promise<void> {
  const { registry, clock, limits } = collector
  const deletes = new Pace(limits.deletesPerSecond)
  const bytes = new Pace(limits.bytesPerSecond)
  for (;;) {
    signal.throwIfAborted()
    const now = await clock(registry.db)
    const batch = await condemnedBlobs(registry.db, { condemnedBefore, now, limit: BLOBS_PER_BATCH })
    if (batch.length === 0) return
    await deletes.take(batch.length, signal)
    await bytes.take(
      batch.reduce((sum, { size }) => sum + size, 0),
      signal,
    )
    await deleteBatch(collector, batch, { condemnedBefore, deleted })
    await onProgress(deleted)
  }
}

/** Also rejects when a file cannot be deleted: what was begun is taken up later. */
async function deleteBatch(
  { registry, clock }: Collector,
  batch: readonly Going[],
  { condemnedBefore, deleted }: { readonly condemnedBefore: number; readonly deleted: Deleted },
): Promise<void> {
  const { db } = registry
  const ids = batch.map(({ id }) => id)
  const names = [...batch.map(({ digest }) => digest), ...(await aliasesOfBlobs(db, ids))]
  // Measured before the transaction: so it is never shorter than what others see.
  const began = performance.now()
  const begin = async (tx: Transaction) => {
    const now = await clock(tx)
    const going = await beginDeleting(tx, ids, { condemnedBefore, now })
    await dropAndTell(tx, going, registry.now())
    return { going, now }
  }
  // Durable before the bytes go: a row that came back to life by a loss of power would promise what is not there.
  const { going, now } = await db.transaction(begin, { mayUseReserve: true, locks: names.map(blobLock) })
  registry.announce()
  const gone = await deleteFiles(registry, going, () => performance.now() - began < ABANDONED_MS / 2)
  await db.transaction(
    (tx) =>
      forgetDeleted(
        tx,
        gone.done.map(({ id }) => id),
        now,
      ),
    {
      mayUseReserve: true,
      locks: NO_LOCKS,
    },
  )
  for (const { size } of gone.done) {
    deleted.blobs += 1
    deleted.bytes += size
  }
  if (gone.failure !== undefined) throw gone.failure
}

async function dropAndTell(tx: Transaction, going: readonly Going[], at: number): Promise<void> {
  if (going.length === 0) return
  const held = await dropHoldings(
    tx,
    going.map(({ id }) => id),
  )
  for (const { repository, digest, size } of held)
    await recordEvent(tx, 'blob.deleted', { repository, digest, size }, internalCaller('gc'), at)
}

/** @param isMine false when so much time has passed that another may have taken the deletion over */
export async function deleteFiles(
  { storage, content }: Collector['registry'],
  going: readonly Going[],
  isMine: () => boolean,
): Promise<{ readonly done: readonly Going[]; readonly failure: unknown }> {
  const left = [...going]
  const done: Going[] = []
  let failure: unknown
  const work = async () => {
    for (let blob = left.pop(); blob && failure === undefined; blob = left.pop()) {
      if (!isMine()) {
        failure = new Error('deleting took so long that it is left to the next collection')
        return
      }
      try {
        await storage.delete(blob.digest)
        content.delete(blob.digest)
        done.push(blob)
      } catch (error) {
        failure = error
      }
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work))
  return { done, failure }
}
