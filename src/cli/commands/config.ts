import type { Command } from 'commander'
import { globalOptions } from '#cli/global-options.ts'
import { printResult, type Tools } from '#cli/session.ts'

export function addConfigCommand(program: Command, { actions, output }: Tools): void {
  program
    .command('config')
    .description('look at the configuration')
    .command('check')
    .description('print the effective configuration, with secrets masked, and what is doubtful about it')
    .argument('[file]', 'a configuration file')
    .addHelpText('after', '\nExample:\n  stowage config check config.yml')
    .action(async (file: string | undefined, _: object, command: Command) => {
      const { text, warnings } = await actions.checkConfig(file)
      const options = globalOptions(command)
      if (!options.quiet) for (const warning of warnings) output.note(`warning: ${warning}`)
      const { parse } = await import('yaml')
      printResult(options, output, { configuration: parse(text), warnings }, () => [text.trimEnd()])
    })
}
