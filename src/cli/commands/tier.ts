// `stowage tier`: what a cold store would be worth, and moving blobs to it.
import type { Command } from 'commander'
import type { AdminClient } from '#cli/admin-client.ts'
import { against, type Item } from '#cli/commands/admin/work.ts'
import { count, formatBytes, table } from '#cli/figures.ts'
import { followJob, type ShownJob, startJob } from '#cli/job-follow.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Session, Tools } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

interface Amount {
  readonly blobs: number
  readonly bytes: number
}

interface TierResult {
  readonly hot: Amount
  readonly cold: Amount
  readonly moved: Amount
  readonly copied: Amount
  readonly failed: number
  readonly moveAfterSeconds: number
  readonly costs: {
    readonly now: number
    readonly after: number
    readonly saved: number
    readonly readBack: number
  }
}

const DAY_SECONDS = 86_400
const DAYS_MAX = 3_650
const POLICIES_MAX = 10

export function addTierCommand(program: Command, tools: Tools): void {
  const tier = program
    .command('tier')
    .description('move blobs that nobody pulls to a cheaper store (storage.tiers)')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
    .addHelpText('after', '\nExamples:\n  stowage tier plan --after-days 7 30 90\n  stowage tier run')
  tier
    .command('plan')
    .description('show what would move down and what it would cost a month, and move nothing')
    .option(
      '--after-days <days...>',
      'instead of the configured storage.tiers.moveafter; several to compare',
      severalDays,
    )
    .addHelpText('after', '\nExample:\n  stowage tier plan --after-days 7 30 90')
    .action(
      against(tools, ({ afterDays = [] }: { afterDays?: number[] }) => async (client, session) => {
        const results: TierResult[] = []
        for (const input of afterDays.length === 0 ? [{}] : afterDays.map(after))
          results.push(await run(client, session, { ...input, dryRun: true }))
        session.print(results, () => planLines(results))
      }),
    )
  tier
    .command('run')
    .description('move down what storage.tiers says, now')
    .option('--after-days <days>', 'instead of the configured storage.tiers.moveafter', wholeNumber(DAYS_MAX))
    .addHelpText('after', '\nExample:\n  stowage tier run')
    .action(
      against(tools, ({ afterDays }: { afterDays?: number }) => async (client, session) => {
        const result = await run(client, session, afterDays === undefined ? {} : after(afterDays))
        session.print(result, () => [
          `${told(result.moved)} moved to the cold store, ${formatBytes(result.copied.bytes)} of it copied`,
          ...(result.failed > 0
            ? [`${count(result.failed, 'blob')} stayed: the log of the server says why`]
            : []),
        ])
      }),
    )
}

function severalDays(text: string, before: number[] = []): number[] {
  if (before.length === POLICIES_MAX)
    throw new CommandFailure(EXIT.usage, `at most ${POLICIES_MAX} policies are compared at once`)
  return [...before, wholeNumber(DAYS_MAX)(text)]
}

function after(days: number) {
  return { moveAfterSeconds: days * DAY_SECONDS }
}

async function run(client: AdminClient, session: Session, input: object): Promise<TierResult> {
  const { items: kinds } = (await client.send({ method: 'GET', path: '/job-kinds' })) as { items: Item[] }
  if (!kinds.some(({ kind }) => kind === 'tier'))
    throw new CommandFailure(EXIT.failed, `${client.server} has one store only`, {
      hint: 'name another one in storage.tiers.cold of its configuration',
    })
  const { id } = await startJob(client, 'tier', input)
  const job: ShownJob = await followJob(client, session, id)
  return job.result as TierResult
}

function told({ blobs, bytes }: Amount): string {
  return `${count(blobs, 'blob')}, ${formatBytes(bytes)}`
}

function planLines(results: readonly TierResult[]): string[] {
  const [first] = results
  if (!first) return []
  return [
    `hot: ${told(first.hot)}    cold: ${told(first.cold)}    ${money(first.costs.now)} a month now`,
    ...table([
      ['unused for', 'moves down', 'to be copied', 'a month after', 'saved', 'reading it all back'],
      ...results.map(({ moveAfterSeconds, moved, copied, costs }) => [
        shownTime(moveAfterSeconds),
        told(moved),
        formatBytes(copied.bytes),
        money(costs.after),
        money(costs.saved),
        money(costs.readBack),
      ]),
    ]),
  ]
}

function shownTime(seconds: number): string {
  return seconds % DAY_SECONDS === 0 ? count(seconds / DAY_SECONDS, 'day') : `${seconds} s`
}

/** In the currency of the configured prices. */
function money(value: number): string {
  return value.toFixed(2)
}
