// For a registry whose admin lost his password.
import type { Command } from 'commander'
import { example } from '#cli/commands/admin/work.ts'
import { type Tools, withSession } from '#cli/session.ts'

export function addRescue(admin: Command, tools: Tools): void {
  admin
    .command('reset-password')
    .description('set the password of a user in the folder of a registry that is stopped')
    .argument('<name>', 'the user')
    .requiredOption('--data <folder>', 'storage.filesystem.rootdirectory of the registry')
    .addHelpText('after', example('reset-password admin --data ./data'))
    .action(async (name: string, { data }: { data: string }, command: Command) => {
      await withSession(command, tools, async (session) => {
        const password = await session.actions.readPassword(`New password for ${name}: `)
        await session.actions.resetPassword(data, name, password)
        session.print({ name }, () => [`the password of ${name} is set: start the registry again`])
      })
    })
}
