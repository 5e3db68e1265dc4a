import type { Command } from 'commander'
import type { Output } from '#cli/output.ts'
import type { Actions } from '#cli/program.ts'

export function addHtpasswdCommand(program: Command, actions: Actions, output: Output): void {
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
    .action(async (file: string, user: string) => {
      const { setHtpasswdUser } = await import('#access/htpasswd.ts')
      await setHtpasswdUser(file, user, await actions.readPassword(`Password for ${user}: `))
      output.note(`${user} can log in now: a running registry reads ${file} again within a second`)
    })
}
