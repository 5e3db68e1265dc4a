// `registry garbage-collect`, as registry:2 has it.
import type { Command } from 'commander'
import { count, formatBytes } from '#cli/figures.ts'
import { globalOptions } from '#cli/global-options.ts'
import { printResult, type Tools } from '#cli/session.ts'

interface Options {
  readonly dryRun?: boolean
  readonly deleteUntagged?: boolean
}

export function addGarbageCollectCommand(program: Command, { actions, output }: Tools): void {
  program
    .command('garbage-collect')
    .description('delete what nothing needs, in the store that a configuration names')
    .argument('[file]', 'the configuration; without one REGISTRY_CONFIGURATION_PATH')
    .option('-d, --dry-run', 'say what would be deleted, and delete nothing')
    .option('-m, --delete-untagged', 'manifests without a tag too, unless an index or a referrer needs them')
    .addHelpText(
      'after',
      `
For who comes from registry:2; -q prints nothing but failures. A registry that is stopped is collected at once. One that runs
does it itself, beside pushes, and deletes two minutes later what nobody took back. Deleted images cannot be restored
afterwards: "stowage gc" keeps them.

Example:
  registry garbage-collect --delete-untagged /etc/docker/registry/config.yml`,
    )
    .action(async (file: string | undefined, options: Options, command: Command) => {
      const { json, quiet } = globalOptions(command)
      const isSilent = json || quiet
      const done = await actions.collectGarbage(file, {
        dryRun: options.dryRun === true,
        deleteUntagged: options.deleteUntagged === true,
        emit: (line) => {
          if (!isSilent) output.result(line)
        },
        signal: actions.interruption(),
      })
      if (json) printResult({ json }, output, { dryRun: options.dryRun === true, ...done }, () => [])
      else if (!quiet) {
        const what = `${count(done.blobs, 'blob')}, ${formatBytes(done.bytes)}`
        const verb = options.dryRun ? 'would be deleted' : done.waits ? 'will be deleted soon' : 'deleted'
        output.note(`${what} ${verb}`)
      }
    })
}
