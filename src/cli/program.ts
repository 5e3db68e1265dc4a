// The command line: every command with its arguments, help and an example.
import { Command, CommanderError } from 'commander'
import { addConfigCommand } from '#cli/commands/config.ts'
import { addHtpasswdCommand } from '#cli/commands/htpasswd.ts'
import { addServeCommand } from '#cli/commands/serve.ts'
import { EXIT, type Output } from '#cli/output.ts'

/** What the commands need of the floors above. */
export interface Actions {
  /** Runs the server until it is told to stop. @param file the configuration; undefined for none named */
  readonly serve: (file: string | undefined) => Promise<void>
  /** The effective configuration as YAML, secrets masked, and the warnings. */
  readonly checkConfig: (file: string | undefined) => Promise<{ text: string; warnings: readonly string[] }>
  readonly readPassword: (prompt: string) => Promise<string>
  readonly version: string
}

export function buildProgram(name: string, actions: Actions, output: Output): Command {
  const program = new Command(name)
  program
    .description('A self-hosted OCI container registry')
    .version(actions.version, '-v, --version', 'print the version')
    .showHelpAfterError('(add --help for how it is used)')
    .exitOverride()
  addServeCommand(program, actions)
  addConfigCommand(program, actions, output)
  addHtpasswdCommand(program, actions, output)
  return program
}

/** Runs a command line; resolves to the exit code. */
export async function runProgram(
  name: string,
  args: readonly string[],
  actions: Actions,
  output: Output,
): Promise<number> {
  try {
    await buildProgram(name, actions, output).parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    output.note(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    return EXIT.failed
  }
}
