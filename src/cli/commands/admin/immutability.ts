// Tags that stay where they are.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { collect } from '#cli/commands/admin/allow.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import type { Tools } from '#cli/session.ts'

interface ImmutabilityOptions {
  readonly repository?: string
  readonly exceptRepository?: readonly string[]
  readonly exceptTag?: readonly string[]
}

export function addImmutability(admin: Command, tools: Tools): void {
  const immutability = admin.command('immutability').description('tags that can neither be moved nor deleted')
  immutability
    .command('list')
    .description('list the rules of a project')
    .argument('<project>', 'the project')
    .addHelpText('after', example('immutability list team'))
    .action(
      against(tools, (project: string) =>
        listing(`/projects/${part(project)}/immutability`, (rule) => {
          const except = [...(rule['exceptRepositories'] as string[]), ...(rule['exceptTags'] as string[])]
          return [
            rule['name'],
            `${rule['repository']}:${rule['tag']}`,
            except.length > 0 ? `except ${except.join(' ')}` : '',
            rule['disabled'] === true ? 'disabled' : '',
          ]
            .filter(Boolean)
            .join('  ')
        }),
      ),
    )
  immutability
    .command('add')
    .description('keep tags of a project where they are')
    .argument('<project>', 'the project')
    .argument('<name>', 'a name for the rule, which refusals tell')
    .argument('<tag>', 'the tags: * stands for any text')
    .option('--repository <pattern>', 'only in these repositories; without it in all of the project')
    .option('--except-repository <pattern>', 'but not in these, may be repeated', collect)
    .option('--except-tag <pattern>', 'but not these tags, may be repeated', collect)
    .addHelpText('after', example("immutability add team releases 'v*' --except-tag '*-rc*'"))
    .action(
      against(tools, (project: string, name: string, tag: string, options: ImmutabilityOptions) => {
        const body = {
          name,
          tag,
          repository: options.repository ?? '**',
          exceptRepositories: options.exceptRepository ?? [],
          exceptTags: options.exceptTag ?? [],
        }
        return change(
          { method: 'POST', path: `/projects/${part(project)}/immutability`, body },
          `tags like ${tag} of ${project} stay where they are now`,
        )
      }),
    )
  immutability
    .command('remove')
    .description('delete a rule: the tags that it kept are free')
    .argument('<project>', 'the project')
    .argument('<name>', 'the rule')
    .addHelpText('after', example('immutability remove team releases'))
    .action(
      against(tools, (project: string, name: string) =>
        change(
          { method: 'DELETE', path: `/projects/${part(project)}/immutability/${part(name)}` },
          `the rule ${name} of ${project} is deleted`,
        ),
      ),
    )
}
