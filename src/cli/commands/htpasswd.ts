import type { Command } from 'commander'
import { globalOptions } from '#cli/global-options.ts'
import type { Tools } from '#cli/session.ts'

export function addHtpasswdCommand(program: Command, { actions, output }: Tools): void {
  program
    .command('htpasswd')
    .description('manage a file of users')
    .command('add')
    .description(
      'add a user, or set the password of one; the password is read from the terminal or standard input',
    )
    .argument('<file>', 'the htpasswd file; it is made when it is missing')
    .argument('<user>', 'the name to log in with')
    .addHelpText('after', '\nExample:\n  stowage htpasswd add ./htpasswd alice')
    .action(async (file: string, user: string, _: object, command: Command) => {
      const { setHtpasswdUser } = await import('#access/passwords/htpasswd.ts')
      await setHtpasswdUser(file, user, await actions.readPassword(`Password for ${user}: `))
      const { json, quiet } = globalOptions(command)
      if (json) output.result(JSON.stringify({ file, user }))
      else if (!quiet)
        output.note(`${user} can log in now: a running registry reads ${file} again within a second`)
    })
}
