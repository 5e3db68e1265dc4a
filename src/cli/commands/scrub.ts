// `stowage scrub`: has a running registry hash what it stores.
import type { Command } from 'commander'
import { collect } from '#cli/commands/admin/allow.ts'
import { against } from '#cli/commands/admin/work.ts'
import { count, formatBytes, table } from '#cli/figures.ts'
import { followJob, type ShownJob, startJob } from '#cli/job-follow.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

interface Options {
  readonly digest?: readonly string[]
  readonly now?: boolean
  readonly wait: boolean
}

interface Report {
  readonly blobs: number
  readonly bytes: number
  readonly corrupt: number
  readonly missing: number
  readonly repaired: number
  readonly findings?: readonly {
    readonly kind: string
    readonly digest: string
    readonly quarantine: string | null
    readonly uses: readonly string[]
  }[]
}

export function addScrubCommand(program: Command, tools: Tools): void {
  program
    .command('scrub')
    .description('have a running registry hash what it stores, repair what is broken or set it aside')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
    .option('--digest <digest>', 'only this blob, may be repeated', collect)
    .option('--now', 'as fast as it goes, instead of at the rate of scrub.rate')
    .option('--no-wait', 'start it, and leave')
    .addHelpText(
      'after',
      `
Ends with ${EXIT.verification} when something is broken and could not be repaired: push it again.

Examples:
  stowage scrub --now
  stowage scrub --digest sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b`,
    )
    .action(
      against(tools, (options: Options) => async (client, session) => {
        const input = {
          ...(options.digest && { digests: options.digest }),
          ...(options.now && { bytesPerSecond: 0 }),
        }
        const { id } = await startJob(client, 'scrub', input)
        if (!options.wait) {
          session.print({ id }, () => [`job ${id}`])
          return
        }
        const job: ShownJob = await followJob(client, session, id)
        const report = job.result as Report
        session.print(report, () => lines(report))
        const { corrupt, missing } = report
        if (corrupt + missing > 0)
          throw new CommandFailure(
            EXIT.verification,
            `${count(corrupt + missing, 'blob')} cannot be served any more`,
            {
              hint: 'push what needs them again; a push sends what is not there',
            },
          )
      }),
    )
}

function lines({ blobs, bytes, corrupt, missing, repaired, findings = [] }: Report): string[] {
  return [
    ...table(
      findings.map(({ kind, digest, quarantine, uses }) => [
        kind,
        digest,
        uses.join(' '),
        quarantine === null ? '' : `set aside at ${quarantine}`,
      ]),
    ),
    `${count(blobs, 'blob')} hashed, ${formatBytes(bytes)}: ${corrupt} corrupt, ${missing} missing, ${repaired} repaired`,
  ]
}
