// Who may do what with which repositories of a project.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { permissionsOf } from '#cli/commands/admin/allow.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

interface RuleOptions {
  readonly user?: string
  readonly group?: string
  readonly robot?: string
  readonly everyone?: boolean
}

function ruleFor(options: RuleOptions): unknown {
  const named = (['user', 'group', 'robot'] as const).flatMap((kind) => {
    const name = options[kind]
    return name === undefined ? [] : [{ kind, name }]
  })
  const all = [...named, ...(options.everyone ? ['everyone'] : [])]
  if (all.length !== 1)
    throw new CommandFailure(EXIT.usage, 'say whom it is for: one of --user, --group, --robot, --everyone')
  return all[0]
}

function whom(subject: unknown): string {
  if (typeof subject !== 'object' || subject === null) return String(subject)
  const { kind, name } = subject as { kind: string; name: string }
  return `${kind} ${name}`
}

export function addRules(admin: Command, tools: Tools): void {
  const rules = admin.command('rules').description('rights on some repositories of a project')
  rules
    .command('list')
    .description('list the rules of a project')
    .argument('<project>', 'the project')
    .addHelpText('after', example('rules list team'))
    .action(
      against(tools, (project: string) =>
        listing(
          `/projects/${part(project)}/rules`,
          ({ name, effect, repository, rights, for: subject }) =>
            `${name}  ${effect}  ${repository}=${(rights as string[]).join()}  ${whom(subject)}`,
        ),
      ),
    )
  for (const effect of ['allow', 'deny'] as const) {
    rules
      .command(effect)
      .description(
        effect === 'allow'
          ? 'allow rights beyond the role of whom it is for'
          : 'deny rights; that wins over roles and over what other rules allow',
      )
      .argument('<project>', 'the project')
      .argument('<name>', 'a name for the rule')
      .argument('<pattern=rights>', 'the repositories, and pull, push, overwrite, delete or manage')
      .option('--user <name>', 'for a user')
      .option('--group <name>', 'for the members of a group')
      .option('--robot <name>', 'for a robot')
      .option('--everyone', 'for everyone, logged in or not')
      .addHelpText(
        'after',
        example(
          effect === 'allow'
            ? "rules allow team partner 'team/shared/**=pull' --user bob"
            : "rules deny team production 'team/prod/**=overwrite,delete' --everyone",
        ),
      )
      .action(
        against(tools, (project: string, name: string, text: string, options: RuleOptions) => {
          const [permission] = permissionsOf([text])
          const body = { name, effect, for: ruleFor(options), ...(permission as object) }
          return change(
            { method: 'POST', path: `/projects/${part(project)}/rules`, body },
            `the rule ${name} of ${project} is in force`,
          )
        }),
      )
  }
  rules
    .command('remove')
    .description('delete a rule')
    .argument('<project>', 'the project')
    .argument('<name>', 'the rule')
    .addHelpText('after', example('rules remove team partner'))
    .action(
      against(tools, (project: string, name: string) =>
        change(
          { method: 'DELETE', path: `/projects/${part(project)}/rules/${part(name)}` },
          `the rule ${name} of ${project} is deleted`,
        ),
      ),
    )
}
