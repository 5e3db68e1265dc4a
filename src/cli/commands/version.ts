import type { Command } from 'commander'
import { globalOptions } from '#cli/global-options.ts'
import { printResult, type Tools } from '#cli/session.ts'

export function addVersionCommand(program: Command, { actions, output }: Tools): void {
  program
    .command('version')
    .description('print the version, and what it runs on')
    .addHelpText('after', '\nExample:\n  stowage version --json')
    .action((_: object, command: Command) => {
      const { version } = actions
      const node = process.versions.node
      const platform = `${process.platform}/${process.arch}`
      printResult(globalOptions(command), output, { version, node, platform }, () => [
        `stowage ${version} (Node ${node}, ${platform})`,
      ])
    })
}
