// Who may do what in a project.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

function memberPath(project: string, kind: string, name: string): string {
  if (kind !== 'user' && kind !== 'group')
    throw new CommandFailure(EXIT.usage, `${kind} is no kind of member: write user or group`)
  return `/projects/${part(project)}/members/${kind}s/${part(name)}`
}

export function addMembers(admin: Command, tools: Tools): void {
  const members = admin.command('members').description('who may do what in a project')
  members
    .command('list')
    .description('list the members of a project')
    .argument('<project>', 'the project')
    .addHelpText('after', example('members list team'))
    .action(
      against(tools, (project: string) =>
        listing(`/projects/${part(project)}/members`, ({ kind, name, role }) => `${kind}  ${name}  ${role}`),
      ),
    )
  members
    .command('set')
    .description('give a user or group a role in a project')
    .argument('<project>', 'the project')
    .argument('<kind>', 'user or group')
    .argument('<name>', 'the user or group')
    .argument('<role>', 'guest (pull), developer (push), maintainer (delete, settings) or owner (members)')
    .addHelpText('after', example('members set team user alice developer'))
    .action(
      against(tools, (project: string, kind: string, name: string, role: string) =>
        change(
          { method: 'PUT', path: memberPath(project, kind, name), body: { role } },
          `${name} is ${role} of ${project} now`,
        ),
      ),
    )
  members
    .command('remove')
    .description('take a user or group out of a project')
    .argument('<project>', 'the project')
    .argument('<kind>', 'user or group')
    .argument('<name>', 'the user or group')
    .addHelpText('after', example('members remove team user alice'))
    .action(
      against(tools, (project: string, kind: string, name: string) =>
        change(
          { method: 'DELETE', path: memberPath(project, kind, name) },
          `${name} is no longer in ${project}`,
        ),
      ),
    )
}
