// How much may be used, and what is.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, change, example, type Item, listing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'
import { parseByteAmount, showByteAmount } from '#lib/byte-amount.ts'

interface LimitOptions {
  readonly bytes?: string
  readonly repositories?: string
  readonly tags?: string
}

/** `registry`, `project team`, `user alice`. */
function pathOf(kind: string, name: string | undefined): string {
  if (kind === 'registry' && name === undefined) return '/quota'
  if ((kind === 'project' || kind === 'user') && name !== undefined) return `/${kind}s/${part(name)}/quota`
  throw new CommandFailure(EXIT.usage, 'say whose: registry, project NAME or user NAME')
}

function bytesOf(text: string | undefined): number | null {
  if (text === undefined || text === 'none') return null
  const bytes = parseByteAmount(text)
  if (bytes === undefined)
    throw new CommandFailure(EXIT.usage, `${text} is no number of bytes: write 10GiB, 500MB or none`)
  return bytes
}

function countOf(text: string | undefined): number | null {
  if (text === undefined || text === 'none') return null
  if (!/^\d{1,12}$/.test(text))
    throw new CommandFailure(EXIT.usage, `${text} is no number: write 100 or none`)
  return Number(text)
}

function line({ kind, name, limits, used }: Item): string {
  const [most, now] = [limits, used] as [Record<string, number | null>, Record<string, number>]
  const parts = Object.entries(now).map(([measure, value]) => {
    const show = (amount: number) => (measure === 'bytes' ? showByteAmount(amount) : `${amount} ${measure}`)
    const limit = most[measure] ?? null
    return limit === null ? show(value) : `${show(value)} of ${show(limit)}`
  })
  return [[kind, name].filter(Boolean).join(' '), ...parts].join('  ')
}

export function addQuotas(admin: Command, tools: Tools): void {
  const quotas = admin.command('quotas').description('how much projects, users and the registry may use')
  quotas
    .command('list')
    .description('list the limits that were set, and what is used')
    .addHelpText('after', example('quotas list'))
    .action(against(tools, () => listing('/quotas', line)))
  quotas
    .command('show')
    .description('show the limits of a project, a user or the registry, and what is used')
    .argument('<kind>', 'project, user or registry')
    .argument('[name]', 'the project or user')
    .addHelpText('after', example('quotas show project team'))
    .action(
      against(tools, (kind: string, name: string | undefined) => async (client, session) => {
        const item = (await client.send({ method: 'GET', path: pathOf(kind, name) })) as Item
        session.print(item, () => [line(item)])
      }),
    )
  quotas
    .command('set')
    .description('set all limits at once; one that is not named is none')
    .argument('<kind>', 'project, user or registry')
    .argument('[name]', 'the project or user')
    .option('--bytes <amount>', 'such as 10GiB or 500MB')
    .option('--repositories <number>', 'repositories with content')
    .option('--tags <number>', 'tags in all repositories together')
    .addHelpText('after', example('quotas set project team --bytes 10GiB --tags 1000'))
    .action(
      against(tools, (kind: string, name: string | undefined, options: LimitOptions) => {
        const body = {
          bytes: bytesOf(options.bytes),
          repositories: countOf(options.repositories),
          tags: countOf(options.tags),
        }
        const whose = [kind, name].filter(Boolean).join(' ')
        return change({ method: 'PUT', path: pathOf(kind, name), body }, `the quota of ${whose} is set`)
      }),
    )
  quotas
    .command('remove')
    .description('have the limits of the configuration again')
    .argument('<kind>', 'project, user or registry')
    .argument('[name]', 'the project or user')
    .addHelpText('after', example('quotas remove project team'))
    .action(
      against(tools, (kind: string, name: string | undefined) =>
        change({ method: 'DELETE', path: pathOf(kind, name) }, 'the limits of the configuration hold again'),
      ),
    )
  quotas
    .command('recount')
    .description('count what is used anew, and put right what was counted wrong')
    .addHelpText('after', example('quotas recount'))
    .action(
      against(tools, () => async (client, session) => {
        const found = (await client.send({ method: 'POST', path: '/quotas/recount' })) as Item
        const differences = found['differences'] as readonly Item[]
        session.print(found, () =>
          differences.length === 0
            ? ['everything was counted right']
            : differences.map(
                ({ scope, measure, counted, actual }) =>
                  `${scope}  ${measure}  counted ${counted}, and there are ${actual}`,
              ),
        )
      }),
    )
}
