// A collection of garbage from beginning to end, in steps that can be taken up after a crash.
import { lastCondemnedAt } from '#db/garbage.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import { condemnGarbage } from '#maintenance/gc/condemn.ts'
import { type Deleted, deleteCondemned } from '#maintenance/gc/delete-condemned.ts'
import { type GcReport, GcTally } from '#maintenance/gc/gc-report.ts'
import { condemnStaleHoldings, dropStaleHoldings } from '#maintenance/gc/holdings.ts'
import { condemnOrphanFiles } from '#maintenance/gc/orphan-files.ts'

/** Where a collection stands: JSON. */
export interface GcState {
  readonly phase: 'search' | 'delete'
  /** The id of the last blob that was looked at. */
  readonly after: number
  readonly found: GcReport
  readonly deleted: Deleted
  /** Until when the search had no end yet: milliseconds since 1970; what is condemned later waits for the next collection. */
  readonly searchedAt: number
}

export interface GcOptions {
  /** Time that something must be old, and then condemned, before it is deleted. Milliseconds. */
  readonly graceMs: number
  readonly dryRun: boolean
  readonly signal: AbortSignal
  readonly checkpoint: (state: GcState) => Promise<void>
}

export function beginning(): GcState {
  const found = new GcTally().report()
  return { phase: 'search', after: 0, found, deleted: { blobs: 0, bytes: 0 }, searchedAt: 0 }
}

/** The state that it comes to: `search` in a dry run, else `delete`. Nothing is deleted yet. */
export async function searchGarbage(
  collector: Collector,
  state: GcState,
  { graceMs, dryRun, signal, checkpoint }: GcOptions,
): Promise<GcState> {
  const { registry, clock } = collector
  const before = registry.now() - graceMs
  const tally = new GcTally(state.found)
  const onProgress = (after: number) => checkpoint({ ...state, after, found: tally.report() })
  await condemnGarbage(collector, tally, { before, dryRun, after: state.after, signal, onProgress })
  await condemnOrphanFiles(collector, tally, { before, dryRun, signal })
  if (!dryRun) await condemnStaleHoldings(collector, before, signal)
  const next: GcState = {
    ...state,
    phase: dryRun ? 'search' : 'delete',
    found: tally.report(),
    searchedAt: await clock(registry.db),
  }
  await checkpoint(next)
  return next
}

/** How long to wait until all that the search condemned may be deleted; 0 when it may be now. */
export async function graceLeftMs(
  { registry, clock }: Collector,
  { searchedAt }: GcState,
  graceMs: number,
): Promise<number> {
  const last = await lastCondemnedAt(registry.db)
  if (last === null) return 0
  return Math.max(0, Math.min(last, searchedAt) + graceMs - (await clock(registry.db)))
}

export async function deleteGarbage(
  collector: Collector,
  state: GcState,
  { graceMs, signal, checkpoint }: GcOptions,
): Promise<GcState> {
  const { registry, clock } = collector
  const deleted = { ...state.deleted }
  const condemnedBefore = (await clock(registry.db)) - graceMs
  await dropStaleHoldings(collector, condemnedBefore, signal)
  const onProgress = () => checkpoint({ ...state, deleted })
  await deleteCondemned(collector, { condemnedBefore, signal, deleted, onProgress })
  return { ...state, deleted }
}
