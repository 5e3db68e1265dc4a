// The command line: every command with its arguments, help and an example.
import { Command, CommanderError } from 'commander'
import type { ClientEnvironment } from '#cli/client-environment.ts'
import { addConfigCommand } from '#cli/commands/config.ts'
import { addCopyCommand } from '#cli/commands/copy.ts'
import { addHtpasswdCommand } from '#cli/commands/htpasswd.ts'
import { addLoginCommand } from '#cli/commands/login.ts'
import { addLogoutCommand } from '#cli/commands/logout.ts'
import { addPullCommand } from '#cli/commands/pull.ts'
import { addPushCommand } from '#cli/commands/push.ts'
import { addServeCommand } from '#cli/commands/serve.ts'
import { describeFailure } from '#cli/failure.ts'
import { addGlobalOptions, type GlobalOptions } from '#cli/global-options.ts'
import { EXIT, type Output } from '#cli/output.ts'

/** What the commands need of the floors above. */
export interface Actions {
  /** Runs the server until it is told to stop. @param file the configuration; undefined for none named */
  readonly serve: (file: string | undefined) => Promise<void>
  /** The effective configuration as YAML, secrets masked, and the warnings. */
  readonly checkConfig: (file: string | undefined) => Promise<{ text: string; warnings: readonly string[] }>
  /** Asks on the terminal without showing what is typed, or reads a line of standard input. */
  readonly readPassword: (prompt: string) => Promise<string>
  /** The same, and shows it. */
  readonly readLine: (prompt: string) => Promise<string>
  readonly environment: () => ClientEnvironment
  /** Raised by Ctrl-C or SIGTERM, with a CommandFailure as its reason. */
  readonly interruption: () => AbortSignal
  readonly version: string
}

export function buildProgram(name: string, actions: Actions, output: Output): Command {
  const program = new Command(name)
  program
    .description('A self-hosted OCI container registry')
    .version(actions.version, '-v, --version', 'print the version')
    .showHelpAfterError('(add --help for how it is used)')
    .exitOverride()
  addGlobalOptions(program)
  const tools = { actions, output }
  addServeCommand(program, actions)
  addConfigCommand(program, actions, output)
  addHtpasswdCommand(program, actions, output)
  addLoginCommand(program, tools)
  addLogoutCommand(program, tools)
  addPullCommand(program, tools)
  addPushCommand(program, tools)
  addCopyCommand(program, tools)
  return program
}

/** Runs a command line; resolves to the exit code. */
export async function runProgram(
  name: string,
  args: readonly string[],
  actions: Actions,
  output: Output,
): Promise<number> {
  const program = buildProgram(name, actions, output)
  try {
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const { exitCode, kind, message, hint } = describeFailure(error)
    if (program.opts<GlobalOptions>().json) output.result(JSON.stringify({ error: { kind, message, hint } }))
    else output.note(`${name}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`)
    return exitCode
  }
}
