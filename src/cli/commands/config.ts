import type { Command } from 'commander'
import type { Output } from '#cli/output.ts'
import type { Actions } from '#cli/program.ts'

export function addConfigCommand(program: Command, actions: Actions, output: Output): void {
  program
    .command('config')
    .description('look at the configuration')
    .command('check')
    .description('print the effective configuration, with secrets masked, and what is doubtful about it')
    .argument('[file]', 'a configuration file')
    .addHelpText('after', '\nExample:\n  stowage config check config.yml')
    .action(async (file: string | undefined) => {
      const { text, warnings } = await actions.checkConfig(file)
      for (const warning of warnings) output.note(`warning: ${warning}`)
      output.result(text.trimEnd())
    })
}
