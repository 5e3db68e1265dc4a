// Finds the blobs that nothing needs, and condemns them: the first of the two steps.
import { condemnBlobs, garbageIn, lastBlobId } from '#db/garbage.ts'
import { NO_LOCKS } from '#db/locks.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import type { GcTally } from '#maintenance/gc/gc-report.ts'
import { inSlices } from '#maintenance/gc/slices.ts'

/** Work between two checkpoints: what a crash has us do again. */
const CHECKPOINT_MS = 5_000

export interface CondemnOptions {
  /** Pushed or mounted after this time, a blob is passed over. Milliseconds since 1970. */
  readonly before: number
  /** Counts, and condemns nothing. */
  readonly dryRun: boolean
  /** The id to go on after. */
  readonly after: number
  readonly signal: AbortSignal
  /** Told now and then up to which id all is done. */
  readonly onProgress: (after: number, last: number) => Promise<void>
}

export async function condemnGarbage(
  { registry, clock, limits }: Collector,
  tally: GcTally,
  { before, dryRun, after, signal, onProgress }: CondemnOptions,
): Promise<void> {
  const { db } = registry
  const last = await lastBlobId(db)
  let told = performance.now()
  await inSlices({ after, last, share: limits.share, signal }, async (from, to) => {
    const garbage = await garbageIn(db, { after: from, to, before })
    for (const { size, project } of garbage)
      tally.add(project === null ? 'unlinked' : 'unreferenced', size, project)
    if (garbage.length > 0 && !dryRun) {
      const ids = garbage.map(({ id }) => id)
      // No locks: who needs one of them from now on takes it back, and the second step looks again.
      await db.transaction(async (tx) => condemnBlobs(tx, ids, { before, now: await clock(tx) }), {
        durable: false,
        mayUseReserve: true,
        locks: NO_LOCKS,
      })
    }
    if (performance.now() - told < CHECKPOINT_MS) return
    told = performance.now()
    await onProgress(to, last)
  })
}
