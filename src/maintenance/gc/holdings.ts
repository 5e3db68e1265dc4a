// Repositories hold blobs that they do not need while others do: after an image is deleted, its layers could be pulled by digest
// from there for ever, and would count for its project. They go in two steps as blobs do.
import type { Transaction } from '#db/db.ts'
import { blobLock, NO_LOCKS, repositoryLock } from '#db/locks.ts'
import {
  condemnedHoldings,
  condemnHoldings,
  dropHolding,
  repositoryIdsAfter,
  staleHoldings,
} from '#db/stale-holdings.ts'
import { recordEvent } from '#events/record.ts'
import { internalCaller } from '#identity/caller.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import { Rest } from '#maintenance/gc/slices.ts'

const REPOSITORIES_PER_LOOK = 200
const HOLDINGS_PER_LOOK = 200
const HOLDINGS_PER_BATCH = 50

/** Resolves to how many were condemned. */
export async function condemnStaleHoldings(
  { registry, clock, limits }: Collector,
  before: number,
  signal: AbortSignal,
): Promise<number> {
  const { db } = registry
  const rest = new Rest(limits.share)
  let condemned = 0
  for (let after = 0; ; ) {
    const ids = await repositoryIdsAfter(db, after, REPOSITORIES_PER_LOOK)
    for (const repositoryId of ids) {
      for (let last: number | undefined = 0; last !== undefined; ) {
        signal.throwIfAborted()
        const start = performance.now()
        const page = await staleHoldings(db, { repositoryId, after: last, limit: HOLDINGS_PER_LOOK, before })
        const { blobIds } = page
        if (blobIds.length > 0)
          await db.transaction(async (tx) => condemnHoldings(tx, repositoryId, blobIds, await clock(tx)), {
            durable: false,
            mayUseReserve: true,
            locks: NO_LOCKS,
          })
        condemned += blobIds.length
        last = page.last
        await rest.after(performance.now() - start, signal)
      }
    }
    after = ids.at(-1) ?? after
    if (ids.length < REPOSITORIES_PER_LOOK) return condemned
  }
}

/** Resolves to how many were dropped. */
export async function dropStaleHoldings(
  { registry, limits }: Collector,
  condemnedBefore: number,
  signal: AbortSignal,
): Promise<number> {
  const { db } = registry
  const rest = new Rest(limits.share)
  let dropped = 0
  for (;;) {
    signal.throwIfAborted()
    const start = performance.now()
    const batch = await condemnedHoldings(db, condemnedBefore, HOLDINGS_PER_BATCH)
    if (batch.length === 0) return dropped
    const at = registry.now()
    const drop = async (tx: Transaction) => {
      let count = 0
      for (const holding of batch) {
        if (!(await dropHolding(tx, holding, condemnedBefore))) continue
        const { repository, digest, size } = holding
        await recordEvent(tx, 'blob.deleted', { repository, digest, size }, internalCaller('gc'), at)
        count += 1
      }
      return count
    }
    const locks = batch.flatMap(({ repository, digest }) => [repositoryLock(repository), blobLock(digest)])
    dropped += await db.transaction(drop, { mayUseReserve: true, locks: [...new Set(locks)] })
    registry.announce()
    await rest.after(performance.now() - start, signal)
  }
}
