// What a command works with while it runs: options, output, a signal that Ctrl-C raises, and connections that are closed.
import type { Command } from 'commander'
import { type GlobalOptions, globalOptions } from '#cli/global-options.ts'
import type { Output } from '#cli/output.ts'
import { colored, type Paint, plain } from '#cli/paint.ts'
import type { Actions } from '#cli/program.ts'
import type { Progress } from '#cli/progress.ts'
import type { Registries } from '#cli/registries.ts'

export interface Tools {
  readonly actions: Actions
  readonly output: Output
}

export interface Session {
  readonly actions: Actions
  readonly output: Output
  readonly options: GlobalOptions
  readonly signal: AbortSignal
  readonly registries: Registries
  readonly progress: Progress
  /** For results. */
  readonly paint: Paint
  /** Prints a result: the value as JSON when that was asked for, else the lines. */
  print(value: unknown, lines: () => Iterable<string>): void
  /** A sentence for a person, unless --quiet. */
  say(text: string): void
}

/** Runs the work of a command that may take a while, and closes what it opened, however it ends. */
export async function withSession(
  command: Command,
  tools: Tools,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const { actions, output } = tools
  const options = globalOptions(command)
  const environment = actions.environment()
  const { Registries } = await import('#cli/registries.ts')
  const { Progress } = await import('#cli/progress.ts')
  const colors = options.color && environment.colors
  const mode = options.quiet ? 'none' : output.terminal() ? 'bars' : 'lines'
  const progress = new Progress(mode, output, colors ? colored : plain)
  const registries = new Registries({ options, environment, version: actions.version })
  const signal = actions.interruption()
  const session: Session = {
    actions,
    output,
    options,
    signal,
    registries,
    progress,
    paint: colors && output.resultsOnTerminal ? colored : plain,
    print: (value, lines) => {
      progress.stop()
      printResult(options, output, value, lines)
    },
    say: (text) => {
      if (!options.quiet) progress.line(text)
    },
  }
  try {
    await work(session)
  } catch (error) {
    // Whatever broke when it was cut off: the reason is that somebody wanted it to end.
    throw signal.aborted ? signal.reason : error
  } finally {
    progress.stop()
    await registries.close()
  }
}

/** The same choice for a command that needs no session. */
export function printResult(
  options: Pick<GlobalOptions, 'json'>,
  output: Output,
  value: unknown,
  lines: () => Iterable<string>,
): void {
  if (options.json) output.result(JSON.stringify(value))
  else for (const line of lines()) output.result(line)
}
