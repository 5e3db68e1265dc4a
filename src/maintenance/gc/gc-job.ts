// Collecting garbage as a job: searched, left for the grace, deleted.
import { z } from 'zod'
import type { GraphManifest } from '#db/repository-graph.ts'
import { type JobEnd, type JobKind, type JobRun, jobKind } from '#jobs/job-kind.ts'
import {
  beginning,
  deleteGarbage,
  type GcState,
  graceLeftMs,
  searchGarbage,
} from '#maintenance/gc/collect-garbage.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import { GcTally } from '#maintenance/gc/gc-report.ts'
import { addFreed, type Prepared } from '#maintenance/gc/prepare.ts'
import { CONDEMNED_MS_MIN } from '#registry/keep-bytes.ts'

export const GC = 'gc'
/** Until the tree of link files is read. */
const NOT_READY_MS = 60_000
/** What the clocks of a timer and of the database may differ by. */
const MARGIN_MS = 500
const ATTEMPTS_MAX = 5
const SECONDS_MAX = 365 * 24 * 3600

const gcInput = z.strictObject({
  /** Searches and reports, and deletes nothing. */
  dryRun: z.boolean().default(false),
  /** Manifests without a tag, which nothing that is kept needs, become garbage too. */
  deleteUntagged: z.boolean().optional(),
  /** What could be restored is given up first. */
  purge: z.boolean().default(false),
  /** Instead of the configured one. */
  graceSeconds: z
    .int()
    .min(CONDEMNED_MS_MIN / 1000)
    .max(SECONDS_MAX)
    .optional(),
})

type GcInput = z.infer<typeof gcInput>

export interface GcJobOptions {
  readonly collector: Collector
  readonly graceMs: number
  /** Where the input does not say. */
  readonly deleteUntagged: boolean
  /** Before the search: expires what could be restored, and takes untagged manifests. */
  readonly prepare: (run: GcPreparation) => Promise<Prepared>
}

export interface GcPreparation {
  readonly dryRun: boolean
  readonly deleteUntagged: boolean
  readonly purge: boolean
  readonly graceMs: number
  readonly signal: AbortSignal
  /** Told of each untagged manifest that goes. */
  readonly onManifest?: ((repository: string, manifest: GraphManifest) => void) | undefined
}

export function gcJob(usual: GcJobOptions): JobKind {
  const { collector, prepare } = usual
  const run = async (job: JobRun<GcInput>): Promise<JobEnd> => {
    const { input, signal } = job
    const { dryRun, purge, deleteUntagged = usual.deleteUntagged } = input
    if (!collector.isReady())
      return { againInMs: NOT_READY_MS, cursor: job.cursor, progress: { phase: 'waits for the tree' } }
    const graceMs = Math.max(
      input.graceSeconds === undefined ? usual.graceMs : input.graceSeconds * 1000,
      CONDEMNED_MS_MIN,
    )
    const checkpoint = (state: GcState) => job.checkpoint(state, shown(state))
    const options = { graceMs, dryRun, signal, checkpoint }
    let state = (job.cursor as GcState | undefined) ?? beginning()
    if (state.phase === 'search') {
      const prepared = await prepare({ dryRun, deleteUntagged, purge, graceMs, signal })
      state = await searchGarbage(collector, state, options)
      if (dryRun) {
        const tally = new GcTally(state.found)
        await addFreed(collector, tally, prepared.freed)
        const { expired, untagged } = prepared
        return { result: { dryRun, found: tally.report(), expired, untagged } }
      }
    }
    const leftMs = await graceLeftMs(collector, state, graceMs)
    if (leftMs > 0) {
      const progress = {
        ...shown(state),
        phase: 'waits for the grace',
        graceLeftSeconds: Math.ceil(leftMs / 1000),
      }
      return { againInMs: leftMs + MARGIN_MS, cursor: state, progress }
    }
    const { found, deleted } = await deleteGarbage(collector, state, options)
    collector.registry.log.info('garbage was collected', { blobs: deleted.blobs, bytes: deleted.bytes })
    return { result: { dryRun, found, deleted } }
  }
  return jobKind<GcInput>({
    name: GC,
    about: 'Finds blobs that nothing needs, and deletes them after a grace.',
    input: gcInput as z.ZodType<GcInput>,
    uniqueKey: ({ dryRun }) => (dryRun ? 'gc dry run' : GC),
    attemptsMax: ATTEMPTS_MAX,
    run,
  })
}

function shown({ phase, found: { blobs, bytes }, deleted }: GcState) {
  return { phase, found: { blobs, bytes }, deleted }
}
