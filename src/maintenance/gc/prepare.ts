// What comes before the search: what could be restored is given up when its window is over, and untagged manifests are deleted
// where that is wanted.
import { expireDeleted } from '#db/deleted-manifests.ts'
import { deletedBefore, type FreedBlob, freedBlobs, projectsOf } from '#db/freed-blobs.ts'
import { NO_LOCKS } from '#db/locks.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import type { GcPreparation } from '#maintenance/gc/gc-job.ts'
import type { GcTally } from '#maintenance/gc/gc-report.ts'
import { deleteUntagged } from '#maintenance/gc/untagged.ts'

const EXPIRED_AT_ONCE = 500

export interface Prepared {
  /** Deleted manifests that cannot be restored any more. */
  readonly expired: number
  readonly untagged: number
  /** In a dry run: what they would leave without use. */
  readonly freed: readonly FreedBlob[]
}

export async function prepareCollection(collector: Collector, run: GcPreparation): Promise<Prepared> {
  const { registry, limits } = collector
  const { db } = registry
  const { dryRun, purge, graceMs, signal } = run
  const doomed = new Set<number>()
  const untagged = run.deleteUntagged
    ? await deleteUntagged(registry, {
        ...{ graceMs, dryRun, signal, share: limits.share },
        isRecoverable: !purge,
        onManifest(repository, manifest) {
          if (dryRun) doomed.add(manifest.id)
          run.onManifest?.(repository, manifest)
        },
      })
    : 0
  const before = registry.now() - (purge ? 0 : registry.settings.deletedWindowMs)
  if (!dryRun) return { expired: await expire(collector, before, signal), untagged, freed: [] }
  const deleted = new Set(await deletedBefore(db, before))
  // Where they can be restored, what is untagged keeps its bytes for the window.
  const manifests = purge || registry.settings.deletedWindowMs === 0 ? doomed : new Set<number>()
  return { expired: deleted.size, untagged, freed: await freedBlobs(db, { manifests, deleted }) }
}

/** Counts what a dry run would leave without use, beside what nothing needs already. */
export async function addFreed(
  { registry }: Collector,
  tally: GcTally,
  freed: readonly FreedBlob[],
): Promise<void> {
  const projects = await projectsOf(
    registry.db,
    freed.map(({ id }) => id),
  )
  for (const { id, size } of freed) {
    const project = projects.get(id) ?? null
    tally.add(project === null ? 'unlinked' : 'unreferenced', size, project)
  }
}

async function expire({ registry }: Collector, before: number, signal: AbortSignal): Promise<number> {
  for (let expired = 0; ; ) {
    signal.throwIfAborted()
    const step = await registry.db.transaction((tx) => expireDeleted(tx, before, EXPIRED_AT_ONCE), {
      durable: false,
      mayUseReserve: true,
      locks: NO_LOCKS,
    })
    expired += step
    if (step < EXPIRED_AT_ONCE) return expired
  }
}
