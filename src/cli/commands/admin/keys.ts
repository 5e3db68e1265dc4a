// API keys of whoever is logged in.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { type AllowOptions, collect, expiryOf, permissionsOf } from '#cli/commands/admin/allow.ts'
import { against, change, example, listing, revealing } from '#cli/commands/admin/work.ts'
import type { Tools } from '#cli/session.ts'

export function addKeys(admin: Command, tools: Tools): void {
  const keys = admin.command('keys').description('your own API keys, which log in for you')
  keys
    .command('list')
    .description('list your keys')
    .addHelpText('after', example('keys list'))
    .action(
      against(tools, () =>
        listing('/me/keys', ({ name, permissions, expiresAt }) =>
          [name, permissions ? 'narrowed' : 'all', expiresAt ? `until ${expiresAt}` : '']
            .filter(Boolean)
            .join('  '),
        ),
      ),
    )
  keys
    .command('add')
    .description('make a key; prints its secret, this once')
    .argument('<name>', 'what you call it')
    .option(
      '--allow <pattern=rights>',
      'no more than this, may be repeated; all that you may without it',
      collect,
    )
    .option('--expires <time>', 'when it ends to work')
    .addHelpText('after', example("keys add laptop --allow 'team/**=pull'"))
    .action(
      against(tools, (name: string, { allow, expires }: AllowOptions) =>
        revealing(
          {
            method: 'POST',
            path: '/me/keys',
            body: { name, permissions: allow ? permissionsOf(allow) : null, expiresAt: expiryOf(expires) },
          },
          () => `log in with your own name and this secret`,
        ),
      ),
    )
  keys
    .command('remove')
    .description('delete one of your keys')
    .argument('<name>', 'the key')
    .addHelpText('after', example('keys remove laptop'))
    .action(
      against(tools, (name: string) =>
        change({ method: 'DELETE', path: `/me/keys/${part(name)}` }, `the key ${name} is deleted`),
      ),
    )
}
