// The registry's own jobs: what they are, and when they run by themselves.
import { hostname } from 'node:os'
import { z } from 'zod'
import { isTiering, type Listing } from '#blobs/store.ts'
import { databaseNow } from '#db/clock.ts'
import type { Signals } from '#db/signals.ts'
import { type JobKind, jobKind } from '#jobs/job-kind.ts'
import { type Jobs, openJobs } from '#jobs/open-jobs.ts'
import type { Outcome } from '#jobs/running-job.ts'
import type { Schedule } from '#jobs/schedules.ts'
import type { Collector, GcLimits } from '#maintenance/gc/collector.ts'
import { GC, gcJob } from '#maintenance/gc/gc-job.ts'
import { prepareCollection } from '#maintenance/gc/prepare.ts'
import { pruneOldEvents } from '#maintenance/prune-events.ts'
import { RETENTION, retentionJob } from '#maintenance/retention/retention-job.ts'
import type { FindingKind } from '#maintenance/scrub/scrub-blobs.ts'
import { SCRUB, scrubJob } from '#maintenance/scrub/scrub-job.ts'
import { sweepUploads } from '#maintenance/sweep-uploads.ts'
import { TIER, tierJob } from '#maintenance/tiering/tier-job.ts'
import type { TierPolicy } from '#maintenance/tiering/tier-policy.ts'
import type { Registry } from '#registry/registry.ts'

const FIRST_SWEEP_MS = 60_000
const ATTEMPTS_MAX = 3

export interface BackgroundOptions {
  readonly registry: Registry
  /** Every file of the store; undefined where it cannot be listed. */
  readonly listing: Listing | undefined
  /** Whether all that a tree of link files says is known to the facts. */
  readonly isTreeRead: () => boolean
  readonly signals: Signals
  readonly settings: BackgroundSettings
  readonly onEnded: (kind: string, outcome: Outcome) => void
  /** Hears of each blob that a scrub found broken. */
  readonly onScrubFinding: (kind: FindingKind) => void
  /** Counts what is used anew; resolves to how much was counted wrong. */
  readonly recount: () => Promise<{ readonly wrong: number }>
}

/** Times in milliseconds; a timing is a cron line or `@every` and a duration. */
export interface BackgroundSettings {
  /** Jobs at the same time in this process. */
  readonly concurrency: number
  readonly pruning: { readonly readsMs: number; readonly writesMs: number }
  /** Undefined for none by schedule. */
  readonly sweeping: { readonly timing: string; readonly ageMs: number; readonly dryRun: boolean } | undefined
  /** Undefined where there is one tier. */
  readonly tiering: { readonly timing: string; readonly policy: TierPolicy } | undefined
  readonly scrub: {
    /** Undefined for not by itself. */
    readonly timing: string | undefined
    readonly bytesPerSecond: number
  }
  /** When rules are applied; undefined for not by itself. */
  readonly retention: string | undefined
  readonly gc: {
    readonly timing: string | undefined
    readonly graceMs: number
    readonly deleteUntagged: boolean
    readonly limits: GcLimits
  }
}

export interface Background extends Jobs {
  /** Makes the schedules, and begins to work. */
  begin(): Promise<void>
}

export function openBackground(options: BackgroundOptions): Background {
  const { registry, signals, settings, onEnded } = options
  const jobs = openJobs({
    db: registry.db,
    signals,
    kinds: kindsOf(options),
    concurrency: settings.concurrency,
    owner: `${hostname()}:${process.pid}`,
    log: registry.log,
    newId: registry.newId,
    random: Math.random,
    onEnded,
  })
  return { ...jobs, begin: () => jobs.start(schedulesOf(settings)) }
}

export function collectorOf({ registry, listing, isTreeRead, settings }: BackgroundOptions): Collector {
  return { registry, clock: databaseNow, listing, isReady: isTreeRead, limits: settings.gc.limits }
}

function kindsOf(options: BackgroundOptions): JobKind[] {
  const { registry, settings } = options
  const { storage } = registry
  const { tiering } = settings
  return [
    ...(tiering && isTiering(storage) ? [tierJob(registry, storage, tiering.policy)] : []),
    retentionJob(registry),
    scrubJob(registry, {
      bytesPerSecond: settings.scrub.bytesPerSecond,
      onFinding: options.onScrubFinding,
    }),
    gcJob({
      collector: collectorOf(options),
      graceMs: settings.gc.graceMs,
      deleteUntagged: settings.gc.deleteUntagged,
      prepare: (run) => prepareCollection(collectorOf(options), run),
    }),
    jobKind<object>({
      name: 'recount-usage',
      about:
        'Counts what is used of quotas anew, and puts right what was counted wrong: that should be nothing.',
      input: z.strictObject({}),
      uniqueKey: () => 'recount-usage',
      attemptsMax: ATTEMPTS_MAX,
      run: async () => ({ result: await options.recount() }),
    }),
    jobKind<object>({
      name: 'prune-events',
      about: 'Forgets what happened longer ago than somebody wants to know.',
      input: z.strictObject({}),
      uniqueKey: () => 'prune-events',
      attemptsMax: ATTEMPTS_MAX,
      run: async () => ({ result: { pruned: await pruneOldEvents(registry, settings.pruning) } }),
    }),
    jobKind<{ readonly ageSeconds: number; readonly dryRun: boolean }>({
      name: 'sweep-uploads',
      about: 'Drops uploads that nobody finished.',
      input: z.strictObject({ ageSeconds: z.number().min(0), dryRun: z.boolean().default(false) }),
      uniqueKey: () => 'sweep-uploads',
      attemptsMax: ATTEMPTS_MAX,
      run: async ({ input: { ageSeconds, dryRun } }) => ({
        result: await sweepUploads(registry, { ageMs: ageSeconds * 1000, dryRun }),
      }),
    }),
  ]
}

function schedulesOf({ gc, retention, scrub, sweeping, tiering }: BackgroundSettings): Schedule[] {
  return [
    { name: 'prune-events', kind: 'prune-events', timing: '@every 1h', input: {} },
    { name: 'recount-usage', kind: 'recount-usage', timing: '@every 24h', input: {} },
    ...(gc.timing === undefined ? [] : [{ name: GC, kind: GC, timing: gc.timing, input: {} }]),
    ...(retention === undefined ? [] : [{ name: RETENTION, kind: RETENTION, timing: retention, input: {} }]),
    ...(scrub.timing === undefined ? [] : [{ name: SCRUB, kind: SCRUB, timing: scrub.timing, input: {} }]),
    ...(tiering ? [{ name: TIER, kind: TIER, timing: tiering.timing, input: {} }] : []),
    ...(sweeping
      ? [
          {
            name: 'sweep-uploads',
            kind: 'sweep-uploads',
            timing: sweeping.timing,
            input: { ageSeconds: sweeping.ageMs / 1000, dryRun: sweeping.dryRun },
            firstMs: FIRST_SWEEP_MS,
          },
        ]
      : []),
  ]
}
