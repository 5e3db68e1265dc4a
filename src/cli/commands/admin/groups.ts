// Groups of users.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import type { Tools } from '#cli/session.ts'

export function addGroups(admin: Command, tools: Tools): void {
  const groups = admin.command('groups').description('groups of users')
  groups
    .command('list')
    .description('list the groups, or the members of one')
    .argument('[group]', 'the group')
    .addHelpText('after', example('groups list devs'))
    .action(
      against(tools, (group: string | undefined) =>
        listing(group === undefined ? '/groups' : `/groups/${part(group)}/members`, ({ name }) =>
          String(name),
        ),
      ),
    )
  groups
    .command('add')
    .description('make a group')
    .argument('<group>', 'its name')
    .addHelpText('after', example('groups add devs'))
    .action(
      against(tools, (name: string) =>
        change({ method: 'POST', path: '/groups', body: { name } }, `there is a group ${name} now`),
      ),
    )
  groups
    .command('remove')
    .description('delete a group; its members stay')
    .argument('<group>', 'the group')
    .addHelpText('after', example('groups remove devs'))
    .action(
      against(tools, (group: string) =>
        change({ method: 'DELETE', path: `/groups/${part(group)}` }, `the group ${group} is deleted`),
      ),
    )
  for (const [verb, method, done] of [
    ['join', 'PUT', 'is in'],
    ['leave', 'DELETE', 'is no longer in'],
  ] as const) {
    groups
      .command(verb)
      .description(verb === 'join' ? 'put a user into a group' : 'take a user out of a group')
      .argument('<group>', 'the group')
      .argument('<user>', 'the user')
      .addHelpText('after', example(`groups ${verb} devs alice`))
      .action(
        against(tools, (group: string, user: string) =>
          change(
            { method, path: `/groups/${part(group)}/members/${part(user)}` },
            `${user} ${done} ${group}`,
          ),
        ),
      )
  }
}
