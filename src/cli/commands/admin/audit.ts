// The audit log: read, taken away, checked.
import type { Command } from 'commander'
import type { AuditEntryView } from '#access/audit/entry-view.ts'
import type { ChainReport } from '#access/audit/verify-chain.ts'
import type { AdminClient } from '#cli/admin-client.ts'
import { against, example } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

const LISTED_MAX = 100_000

interface FilterOptions {
  readonly actor?: string
  readonly action?: string
  readonly target?: string
  readonly project?: string
  readonly result?: string
  readonly remote?: string
  readonly since?: string
  readonly until?: string
}

interface Offline {
  /** The folder of a registry that is stopped; undefined for one that runs. */
  readonly data?: string
}

export function addAudit(admin: Command, tools: Tools): void {
  const audit = admin
    .command('audit')
    .description('the audit log: who did what, from where, with what result')
  filtered(audit.command('list'))
    .description('list the newest entries')
    .option('--limit <number>', 'how many', wholeNumber(LISTED_MAX), 50)
    .addHelpText('after', example('audit list --project team --result refused'))
    .action(
      against(tools, ({ limit, ...filter }: FilterOptions & { limit: number }) => async (client, session) => {
        const entries: AuditEntryView[] = []
        for await (const entry of read(client, filter, '-id')) {
          if (entries.push(entry) >= limit) break
        }
        session.print(entries, () => entries.map(lineOf))
      }),
    )
  filtered(audit.command('export'))
    .description('write the log to standard output, an entry a line as JSON, the oldest first')
    .option('--data <folder>', 'of a registry that is stopped: its storage.filesystem.rootdirectory')
    .addHelpText('after', example('audit export --until 2027-01-01T00:00:00Z > audit.jsonl'))
    .action(async ({ data, ...filter }: FilterOptions & Offline, command: Command) => {
      await withSession(command, tools, (session) => exportLog(session, command, data, filter))
    })
  addAuditVerify(audit, tools, 'stowage admin audit')
}

/** Also `stowage audit verify`. */
export function addAuditVerify(parent: Command, tools: Tools, called: string): void {
  parent
    .command('verify')
    .description('check that no entry of the log was changed, added or taken out since it was written')
    .option('--data <folder>', 'of a registry that is stopped: its storage.filesystem.rootdirectory')
    .option(
      '--noted <position:hash>',
      'a place that an earlier check printed: it must still be part of the log',
    )
    .addHelpText('after', `\nExample:\n  ${called} verify --noted 1207:9f86d081...`)
    .action(async ({ data, noted }: Offline & { noted?: string }, command: Command) => {
      await withSession(command, tools, (session) => verifyLog(session, command, data, noted))
    })
}

function filtered(command: Command): Command {
  return command
    .option('--actor <name>', 'who did it')
    .option('--action <name>', 'what was done: login, manifest.pushed, users.created, ...')
    .option('--target <name>', 'to what')
    .option('--project <project>', 'in a project')
    .option('--result <result>', 'done, refused or failed')
    .option('--remote <address>', 'from where')
    .option('--since <time>', 'not before: 2027-01-31T12:00:00Z')
    .option('--until <time>', 'not after')
}

async function* read(
  client: AdminClient,
  filter: FilterOptions,
  sort: '-id' | 'id' | 'position',
): AsyncGenerator<AuditEntryView> {
  const { actor, action, target, project, result, remote, since, until } = filter
  const query = new URLSearchParams({ sort, limit: '1000' })
  for (const [name, value] of Object.entries({
    actor,
    action,
    target,
    project,
    result,
    remote,
    since,
    until,
  }))
    if (value !== undefined) query.set(name, value)
  for await (const items of client.pages(`/audit?${query}`)) yield* items as unknown as AuditEntryView[]
}

async function exportLog(
  session: Session,
  command: Command,
  data: string | undefined,
  filter: FilterOptions,
): Promise<void> {
  const write = (entry: AuditEntryView) => session.output.result(JSON.stringify(entry))
  if (data === undefined) {
    for await (const entry of read(await open(session, command), filter, 'id')) write(entry)
    return
  }
  if (Object.values(filter).some((value) => value !== undefined))
    throw new CommandFailure(EXIT.usage, 'with --data the whole log is written: leave the filters out')
  await session.actions.exportAudit(data, write)
}

async function verifyLog(
  session: Session,
  command: Command,
  data: string | undefined,
  notedText: string | undefined,
): Promise<void> {
  const noted = notedText === undefined ? undefined : placeOf(notedText)
  const report =
    data === undefined
      ? await verifyServer(await open(session, command), noted)
      : await session.actions.verifyAudit(data, noted)
  const { entries, from, to, broken } = report
  if (broken) {
    throw new CommandFailure(
      EXIT.verification,
      `the audit log is broken at ${broken.position}: ${broken.why}`,
      {
        hint: `${entries} entries before it are as they were written`,
      },
    )
  }
  session.print(report, () => [
    `${entries} entries from ${from.position + 1} to ${to.position} are as they were written`,
    `${to.position}:${to.hash}`,
  ])
  session.say('note the second line elsewhere: --noted compares the log with it later')
}

async function verifyServer(client: AdminClient, noted: ChainReport['to'] | undefined): Promise<ChainReport> {
  const { servedChain } = await import('#cli/served-chain.ts')
  const { verifyChain } = await import('#access/audit/verify-chain.ts')
  const report = await verifyChain(await servedChain(client), noted)
  // Old entries may have been cut meanwhile: then the log begins further on.
  return report.broken ? verifyChain(await servedChain(client), noted) : report
}

async function open(session: Session, command: Command): Promise<AdminClient> {
  const { AdminClient } = await import('#cli/admin-client.ts')
  const { server } = command.optsWithGlobals<{ server: string }>()
  return AdminClient.open(session, server)
}

function placeOf(text: string): ChainReport['to'] {
  const [, position, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (position === undefined || hash === undefined)
    throw new CommandFailure(EXIT.usage, `${text} is no place: write the line that an earlier check printed`)
  return { position: Number(position), hash }
}

function lineOf({ at, actor, action, target, result, count, remote }: AuditEntryView): string {
  const times = count > 1 ? `${count} times` : ''
  return [at, actor ?? '-', action, target ?? '', result === 'done' ? '' : result, times, remote ?? '']
    .filter(Boolean)
    .join('  ')
}
