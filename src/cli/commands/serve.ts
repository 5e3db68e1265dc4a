import type { Command } from 'commander'
import type { Tools } from '#cli/session.ts'

export function addServeCommand(program: Command, { actions }: Tools): void {
  program
    .command('serve')
    .description('run the registry')
    .argument(
      '[file]',
      'a configuration file, as registry:2 reads it; without one REGISTRY_CONFIGURATION_PATH',
    )
    .addHelpText('after', '\nExample:\n  stowage serve /etc/docker/registry/config.yml')
    .action((file: string | undefined) => actions.serve(file))
}
