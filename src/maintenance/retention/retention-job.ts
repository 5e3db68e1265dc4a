// Retention as a job.
import { z } from 'zod'
import { type JobKind, type JobRun, jobKind } from '#jobs/job-kind.ts'
import { applyRetention, type RetentionState } from '#maintenance/retention/apply-retention.ts'
import type { Registry } from '#registry/registry.ts'

export const RETENTION = 'retention'
const ATTEMPTS_MAX = 5
const DAYS_MAX = 36_500

const retentionInput = z
  .strictObject({
    /** Tells what would go, and lets nothing go. */
    dryRun: z.boolean().default(false),
    project: z.string().max(255).optional(),
    /** In a dry run: as if a rule kept, in every repository, what was pushed or pulled within so many days. */
    unusedDays: z.int().min(1).max(DAYS_MAX).optional(),
  })
  .refine(({ dryRun, unusedDays }) => dryRun || unusedDays === undefined, {
    path: ['unusedDays'],
    message: 'goes with dryRun: make a rule to let images go',
  })

type RetentionInput = z.infer<typeof retentionInput>

export function retentionJob(registry: Registry): JobKind {
  const run = async ({ input, cursor, signal, checkpoint }: JobRun<RetentionInput>) => {
    const { dryRun, project, unusedDays } = input
    const report = await applyRetention(registry, {
      ...{ dryRun, project, signal },
      assumed: unusedDays === undefined ? undefined : unusedRule(unusedDays),
      after: cursor as RetentionState | undefined,
      checkpoint: (state) => checkpoint(state, { ...state.report, decisions: undefined }),
    })
    if (!dryRun && report.tags + report.manifests > 0)
      registry.log.info('retention let images go', {
        tags: report.tags,
        manifests: report.manifests,
        spared: report.spared,
      })
    return { result: report }
  }
  return jobKind<RetentionInput>({
    name: RETENTION,
    about: 'Lets tags and manifests go that the retention rules of their projects do not keep.',
    input: retentionInput as z.ZodType<RetentionInput>,
    uniqueKey: ({ dryRun, project, unusedDays }) =>
      dryRun ? `${RETENTION} dry run ${project ?? ''} ${unusedDays ?? ''}` : RETENTION,
    attemptsMax: ATTEMPTS_MAX,
    run,
  })
}

function unusedRule(days: number) {
  return {
    ...{ name: 'unused', repository: '**', tag: '*', exceptRepositories: [], exceptTags: [] },
    ...{
      newest: null,
      pushedDays: days,
      pulledDays: days,
      signed: false,
      untaggedDays: days,
      disabled: false,
    },
  }
}
