// `stowage gc`: has a running registry collect its garbage.
import type { Command } from 'commander'
import { against } from '#cli/commands/admin/work.ts'
import { count, formatBytes, table } from '#cli/figures.ts'
import { followJob, type ShownJob, startJob } from '#cli/job-follow.ts'
import type { Tools } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

interface Options {
  readonly dryRun?: boolean
  readonly deleteUntagged?: boolean
  readonly purge?: boolean
  readonly graceSeconds?: number
  readonly wait?: boolean
}

interface Amount {
  readonly blobs: number
  readonly bytes: number
}

interface Seen {
  readonly phase?: string
  readonly graceLeftSeconds?: number
  readonly found?: Amount & { readonly projects?: readonly ({ readonly project: string } & Amount)[] }
  readonly deleted?: Amount
}

const GRACE_SECONDS_MAX = 365 * 24 * 3600
const WAITING = 'waits for the grace'

export function addGcCommand(program: Command, tools: Tools): void {
  program
    .command('gc')
    .description('have a running registry delete what nothing needs')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
    .option('--dry-run', 'show what would be deleted, by project, and delete nothing')
    .option('--delete-untagged', 'manifests without a tag too, unless an index or a referrer needs them')
    .option('--purge', 'what could be restored too: deleted images are gone for good')
    .option(
      '--grace-seconds <n>',
      'instead of the configured grace; at least 60',
      wholeNumber(GRACE_SECONDS_MAX),
    )
    .option('--wait', 'until it is deleted, and not only found')
    .addHelpText(
      'after',
      `
What is found is deleted after the grace, unless somebody needs it by then. A registry that is stopped:
registry garbage-collect FILE.

Examples:
  stowage gc --dry-run
  stowage gc --delete-untagged --grace-seconds 120 --wait`,
    )
    .action(
      against(tools, (options: Options) => async (client, session) => {
        const input = {
          dryRun: options.dryRun === true,
          purge: options.purge === true,
          ...(options.deleteUntagged && { deleteUntagged: true }),
          ...(options.graceSeconds !== undefined && { graceSeconds: options.graceSeconds }),
        }
        const { id } = await startJob(client, 'gc', input)
        const isFound = (job: ShownJob) => !options.wait && (job.progress as Seen | null)?.phase === WAITING
        const job = await followJob(client, session, id, isFound)
        session.print(job, () => lines(job))
      }),
    )
}

function lines(job: ShownJob): string[] {
  const seen = (job.result ?? job.progress ?? {}) as Seen
  const { found, deleted, graceLeftSeconds = 0 } = seen
  const told = (amount: Amount) => `${count(amount.blobs, 'blob')}, ${formatBytes(amount.bytes)}`
  const projects = table(
    (found?.projects ?? []).map(({ project, ...amount }) => [`  ${project || '(no project)'}`, told(amount)]),
  )
  if (job.state !== 'done')
    return [
      `${found ? told(found) : 'nothing'} found, deleted in ${Math.ceil(graceLeftSeconds / 60)} min by job ${job.id}`,
      ...projects,
    ]
  return [
    deleted ? `${told(deleted)} deleted` : `${found ? told(found) : 'nothing'} would be deleted`,
    ...projects,
  ]
}
