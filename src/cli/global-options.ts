// Options that every command takes, before or behind its name.
import { type Command, Option } from 'commander'
import { gathered } from '#cli/gathered.ts'

export interface GlobalOptions {
  readonly insecure?: boolean
  readonly plainHttp?: boolean
  readonly ca?: readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly authfile?: string
  readonly quiet?: boolean
  readonly json?: boolean
  readonly color: boolean
}

export function addGlobalOptions(program: Command): void {
  program
    .option('-q, --quiet', 'no progress and no warnings')
    .option('--json', 'results for machines: one JSON document')
    .option('--no-color', 'no colours, as with NO_COLOR=1')
    .addOption(new Option('--authfile <file>', 'credentials: a config.json of docker or auth.json of podman'))
    .addOption(new Option('--ca <file>', 'trust this authority too: PEM, repeatable').argParser(gathered))
    .option('--cert <file>', 'client certificate, PEM')
    .option('--key <file>', 'its key, PEM')
    .option('--insecure', 'take any certificate')
    .option('--plain-http', 'speak HTTP without TLS; this machine itself is tried both ways')
}

export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>()
}
