// `stowage jobs`: what a running registry does in the background.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, type Item, listing } from '#cli/commands/admin/work.ts'
import { table } from '#cli/figures.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

export function addJobsCommand(program: Command, tools: Tools): void {
  const jobs = program
    .command('jobs')
    .description('what a running registry does in the background')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
    .addHelpText('after', '\nExamples:\n  stowage jobs list\n  stowage jobs run gc')
  jobs
    .command('list')
    .description('list the jobs, newest first; those that ended are kept for a week')
    .option('--kind <kind>', 'of one kind only')
    .addHelpText('after', '\nExample:\n  stowage jobs list --kind gc')
    .action(
      against(tools, ({ kind }: { kind?: string }) => async (client, session) => {
        const items = await client.list(kind === undefined ? '/jobs' : `/jobs?kind=${part(kind)}`)
        session.print(items, () => table(items.map(row)))
      }),
    )
  jobs
    .command('schedules')
    .description('list what is done by schedule, and when next')
    .addHelpText('after', '\nExample:\n  stowage jobs schedules')
    .action(
      against(tools, () =>
        listing('/job-schedules', ({ name, timing, nextAt }) => `${name}  ${timing}  next ${nextAt}`),
      ),
    )
  jobs
    .command('kinds')
    .description('list the kinds of jobs that the registry has')
    .addHelpText('after', '\nExample:\n  stowage jobs kinds')
    .action(against(tools, () => listing('/job-kinds', ({ kind, about }) => `${kind}  ${about}`)))
  jobs
    .command('show')
    .description('show a job, with its progress and result')
    .argument('<job>', 'its number')
    .addHelpText('after', '\nExample:\n  stowage jobs show 12')
    .action(
      against(tools, (id: string) => async (client, session) => {
        const job = (await client.send({ method: 'GET', path: `/jobs/${part(id)}` })) as Item
        session.print(job, () =>
          Object.entries(job).map(
            ([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`,
          ),
        )
      }),
    )
  for (const [verb, description, done] of [
    ['cancel', 'end a job; one that runs ends within seconds', 'is cancelled'],
    ['retry', 'take up a job that failed or was cancelled, where it stopped', 'is taken up again'],
  ] as const)
    jobs
      .command(verb)
      .description(description)
      .argument('<job>', 'its number')
      .addHelpText('after', `\nExample:\n  stowage jobs ${verb} 12`)
      .action(
        against(tools, (id: string) => async (client, session) => {
          const job = await client.send({
            method: 'POST',
            path: `/jobs/${part(id)}/${verb}`,
            body: undefined,
          })
          session.print(job, () => [`the job ${id} ${done}`])
        }),
      )
  jobs
    .command('run')
    .description('start a job')
    .argument('<kind>', 'one that stowage jobs kinds lists')
    .option('--input <json>', 'what the kind takes, a JSON object', '{}')
    .addHelpText('after', '\nExample:\n  stowage jobs run sweep-uploads --input \'{"ageSeconds": 86400}\'')
    .action(
      against(tools, (kind: string, { input }: { input: string }) => async (client, session) => {
        const body = { kind, input: parseInput(input) }
        const job = (await client.send({ method: 'POST', path: '/jobs', body })) as Item
        session.print(job, () => [`job ${job['id']}`])
      }),
    )
}

function row(job: Item): string[] {
  const { id, kind, state, createdAt, error } = job
  return [String(id), String(kind), String(state), String(createdAt), error === null ? '' : String(error)]
}

function parseInput(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandFailure(EXIT.usage, '--input must be JSON', { cause })
  }
}
