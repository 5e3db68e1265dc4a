// Moving blobs to the cold tier as a job.
import { z } from 'zod'
import type { Tiering } from '#blobs/store.ts'
import { type JobKind, type JobRun, jobKind } from '#jobs/job-kind.ts'
import { tierBlobs } from '#maintenance/tiering/tier-blobs.ts'
import type { TierPolicy } from '#maintenance/tiering/tier-policy.ts'
import type { Registry } from '#registry/registry.ts'

export const TIER = 'tier'
const ATTEMPTS_MAX = 5

const tierInput = z.strictObject({
  /** Tells what would move, and moves nothing. */
  dryRun: z.boolean().default(false),
  /** Instead of the configured one. */
  moveAfterSeconds: z.int().min(0).optional(),
})

type TierInput = z.infer<typeof tierInput>

export function tierJob(registry: Registry, tiers: Tiering, policy: TierPolicy): JobKind {
  const run = async ({ input, signal, checkpoint }: JobRun<TierInput>) => {
    const { dryRun, moveAfterSeconds } = input
    const moveAfterMs = moveAfterSeconds === undefined ? policy.moveAfterMs : moveAfterSeconds * 1000
    const report = await tierBlobs({
      ...{ db: registry.db, log: registry.log, now: registry.now, tiers, dryRun, signal },
      policy: { ...policy, moveAfterMs },
      onProgress: (progress) => checkpoint(undefined, progress),
    })
    if (!dryRun && report.moved.blobs > 0)
      registry.log.info('blobs were moved to the cold tier', { ...report.moved })
    return { result: { ...report, moveAfterSeconds: moveAfterMs / 1000 } }
  }
  return jobKind<TierInput>({
    name: TIER,
    about: 'Moves blobs that nobody pulled for long to the cold tier.',
    input: tierInput as z.ZodType<TierInput>,
    uniqueKey: ({ dryRun }) => (dryRun ? 'tier dry run' : TIER),
    attemptsMax: ATTEMPTS_MAX,
    run,
  })
}
