// People who log in.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import type { ImportOptions } from '#cli/commands/admin/import-users.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import type { Tools } from '#cli/session.ts'

interface UserOptions {
  readonly email?: string
  readonly displayName?: string
  readonly admin?: boolean
  readonly auditor?: boolean
}

export function addUsers(admin: Command, tools: Tools): void {
  const users = admin.command('users').description('people who log in')
  users
    .command('list')
    .description('list the users')
    .addHelpText('after', example('users list'))
    .action(
      against(tools, () =>
        listing('/users', ({ name, systemRole, disabled }) =>
          [name, systemRole, disabled === true ? 'disabled' : ''].filter(Boolean).join('  '),
        ),
      ),
    )
  users
    .command('add')
    .description('make a user; the password is read from the terminal or standard input')
    .argument('<name>', 'the name to log in with')
    .option('--email <address>', 'the address of mail')
    .option('--display-name <text>', 'the name to show')
    .option('--admin', 'may do everything')
    .option('--auditor', 'may read everything')
    .addHelpText('after', example('users add alice --email alice@example.com'))
    .action(
      against(
        tools,
        (name: string, { email, displayName, admin, auditor }: UserOptions) =>
          async (client, session) => {
            const password = await session.actions.readPassword(`Password for ${name}: `)
            const systemRole = admin ? 'admin' : auditor ? 'auditor' : null
            const body = {
              name,
              password,
              email: email ?? null,
              displayName: displayName ?? null,
              systemRole,
            }
            await change({ method: 'POST', path: '/users', body }, `${name} can log in now`)(client, session)
          },
      ),
    )
  users
    .command('import')
    .description(
      'make a user of each line of an htpasswd file; their passwords stay. Who is there already is left alone',
    )
    .argument('<file>', 'the htpasswd file, with hashes of bcrypt')
    .option('--dry-run', 'say what would be done')
    .addHelpText('after', example('users import ./htpasswd'))
    .action(
      against(tools, (file: string, options: ImportOptions) => async (client, session) => {
        const { importUsers } = await import('#cli/commands/admin/import-users.ts')
        await importUsers(file, options)(client, session)
      }),
    )
  users
    .command('set-password')
    .description('set the password of a user; what was logged in with the old one ends')
    .argument('<name>', 'the user')
    .addHelpText('after', example('users set-password alice'))
    .action(
      against(tools, (name: string) => async (client, session) => {
        const password = await session.actions.readPassword(`New password for ${name}: `)
        const request = { method: 'PUT', path: `/users/${part(name)}/password`, body: { password } } as const
        await change(request, `the password of ${name} is set`)(client, session)
      }),
    )
  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    users
      .command(verb)
      .description(`${verb} a user`)
      .argument('<name>', 'the user')
      .addHelpText('after', example(`users ${verb} alice`))
      .action(
        against(tools, (name: string) =>
          change(
            { method: 'PATCH', path: `/users/${part(name)}`, body: { disabled } },
            `${name} is ${verb}d`,
          ),
        ),
      )
  }
  users
    .command('remove')
    .description('delete a user, with memberships and keys')
    .argument('<name>', 'the user')
    .addHelpText('after', example('users remove alice'))
    .action(
      against(tools, (name: string) =>
        change({ method: 'DELETE', path: `/users/${part(name)}` }, `${name} is deleted`),
      ),
    )
}
