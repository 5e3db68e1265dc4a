// Which tags of a project stay, and what nobody uses.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { collect } from '#cli/commands/admin/allow.ts'
import { against, change, example, type Item, listing } from '#cli/commands/admin/work.ts'
import { count, formatBytes, table } from '#cli/figures.ts'
import { followJob, startJob } from '#cli/job-follow.ts'
import type { Tools } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

interface RuleOptions {
  readonly repository?: string
  readonly tag?: string
  readonly exceptRepository?: readonly string[]
  readonly exceptTag?: readonly string[]
  readonly newest?: number
  readonly pushedDays?: number
  readonly pulledDays?: number
  readonly signed?: boolean
  readonly untaggedDays?: number
}

interface Report {
  readonly dryRun: boolean
  readonly repositories: number
  readonly tags: number
  readonly manifests: number
  readonly spared: number
  readonly freedBytes: number | null
  readonly decisions: readonly { readonly repository: string; readonly tag: string; readonly why: string }[]
}

const DAYS_MAX = 36_500
const NEWEST_MAX = 100_000
const DAYS = wholeNumber(DAYS_MAX)

export function addRetention(admin: Command, tools: Tools): void {
  const retention = admin
    .command('retention')
    .description('which tags of a project stay, and which go by themselves')
  retention
    .command('list')
    .description('list the rules of a project')
    .argument('<project>', 'the project')
    .addHelpText('after', example('retention list team'))
    .action(
      against(tools, (project: string) =>
        listing(`/projects/${part(project)}/retention`, (rule) => lineOf(rule)),
      ),
    )
  retention
    .command('add')
    .description('let tags of a project go that there is no reason to keep')
    .argument('<project>', 'the project')
    .argument('<name>', 'a name for the rule')
    .option('--repository <pattern>', 'only in these repositories; without it in all of the project')
    .option('--tag <pattern>', 'only these tags; without it all: * stands for any text')
    .option('--except-repository <pattern>', 'but not in these, may be repeated', collect)
    .option('--except-tag <pattern>', 'but not these tags, may be repeated', collect)
    .option('--newest <n>', 'keep so many that were pushed last, in each repository', wholeNumber(NEWEST_MAX))
    .option('--pushed-days <n>', 'keep what was pushed within so many days', DAYS)
    .option('--pulled-days <n>', 'keep what was pulled within so many days', DAYS)
    .option('--signed', 'keep what is signed')
    .option('--untagged-days <n>', 'let manifests without a tag go after so many days', DAYS)
    .addHelpText(
      'after',
      `
A tag goes when a rule covers it and no rule that covers it has a reason to keep it. See first what would go:
  stowage admin retention run --dry-run --project team
${example("retention add team builds --tag 'build-*' --newest 10 --pulled-days 30")}`,
    )
    .action(
      against(tools, (project: string, name: string, options: RuleOptions) =>
        change(
          {
            method: 'POST',
            path: `/projects/${part(project)}/retention`,
            body: { name, ...bodyOf(options) },
          },
          `the rule ${name} of ${project} is applied from the next run on: see stowage admin retention run --dry-run`,
        ),
      ),
    )
  retention
    .command('remove')
    .description('delete a rule: what only it let go stays')
    .argument('<project>', 'the project')
    .argument('<name>', 'the rule')
    .addHelpText('after', example('retention remove team builds'))
    .action(
      against(tools, (project: string, name: string) =>
        change(
          { method: 'DELETE', path: `/projects/${part(project)}/retention/${part(name)}` },
          `the rule ${name} of ${project} is deleted`,
        ),
      ),
    )
  retention
    .command('run')
    .description('apply the rules now, or only tell what would go and why')
    .option('--dry-run', 'let nothing go')
    .option('--project <project>', 'only this one')
    .addHelpText('after', example('retention run --dry-run --project team'))
    .action(against(tools, (options: { dryRun?: boolean; project?: string }) => running(options)))
  retention
    .command('unused')
    .description('tell which tags nobody pushed or pulled for a while, and how much their images take')
    .option('--days <n>', 'for so long', DAYS, 30)
    .option('--project <project>', 'only this one')
    .addHelpText('after', example('retention unused --days 90'))
    .action(
      against(tools, ({ days, project }: { days: number; project?: string }) =>
        running({ dryRun: true, project, unusedDays: days }),
      ),
    )
}

function running(input: {
  readonly dryRun?: boolean | undefined
  readonly project?: string | undefined
  readonly unusedDays?: number
}): ReturnType<typeof listing> {
  return async (client, session) => {
    const { id } = await startJob(client, 'retention', input)
    const job = await followJob(client, session, id)
    session.print(job.result, () => linesOf(job.result as Report, input.unusedDays))
  }
}

function bodyOf(options: RuleOptions) {
  return {
    repository: options.repository ?? '**',
    tag: options.tag ?? '*',
    exceptRepositories: options.exceptRepository ?? [],
    exceptTags: options.exceptTag ?? [],
    newest: options.newest ?? null,
    pushedDays: options.pushedDays ?? null,
    pulledDays: options.pulledDays ?? null,
    signed: options.signed === true,
    untaggedDays: options.untaggedDays ?? null,
  }
}

function lineOf(rule: Item): string {
  const except = [...(rule['exceptRepositories'] as string[]), ...(rule['exceptTags'] as string[])]
  const keeps = [
    rule['newest'] === null ? '' : `the ${rule['newest']} newest`,
    rule['pushedDays'] === null ? '' : `pushed within ${rule['pushedDays']} days`,
    rule['pulledDays'] === null ? '' : `pulled within ${rule['pulledDays']} days`,
    rule['signed'] === true ? 'signed' : '',
  ].filter(Boolean)
  return [
    rule['name'],
    `${rule['repository']}:${rule['tag']}`,
    except.length > 0 ? `except ${except.join(' ')}` : '',
    keeps.length > 0 ? `keeps ${keeps.join(', ')}` : '',
    rule['untaggedDays'] === null ? '' : `untagged go after ${rule['untaggedDays']} days`,
    rule['disabled'] === true ? 'disabled' : '',
  ]
    .filter(Boolean)
    .join('  ')
}

function linesOf(report: Report, unusedDays: number | undefined): string[] {
  const { decisions, dryRun, tags, manifests, spared, freedBytes, repositories } = report
  const names = table(decisions.map(({ repository, tag, why }) => [`${repository}:${tag}`, why]))
  const more = tags > decisions.length ? [`and ${count(tags - decisions.length, 'more tag')}`] : []
  const amount = `${count(tags, 'tag')} and ${count(manifests, 'manifest')}`
  if (unusedDays !== undefined)
    return [
      ...names,
      ...more,
      `${amount} were not used for ${count(unusedDays, 'day')}; ${formatBytes(freedBytes ?? 0)} are needed by nothing else`,
    ]
  if (dryRun)
    return [
      ...names,
      ...more,
      `${amount} of ${count(repositories, 'repository', 'repositories')} would go; ${formatBytes(freedBytes ?? 0)} are needed by nothing else`,
    ]
  return [
    ...names,
    ...more,
    `${amount} went${spared > 0 ? `; ${count(spared, 'tag')} stayed after all: used meanwhile, or immutable` : ''}`,
  ]
}
