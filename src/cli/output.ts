// Where a command writes: results to standard output, everything else to standard error; and how it ends.

export interface Output {
  /** A line of the result. */
  result(line: string): void
  /** A line for a person: progress, warnings. */
  note(line: string): void
  /** Text as it is, for what redraws itself. */
  draw(text: string): void
  /** Whether a person looks at the results. */
  readonly resultsOnTerminal: boolean
  /** The size of the terminal that notes go to; undefined when they go to a file or a pipe. */
  terminal(): { readonly columns: number; readonly rows: number } | undefined
}

/** docs/reference/cli.md says the same in its first section. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  network: 5,
  verification: 6,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export interface CommandFailureOptions {
  /** What to do next. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/** A command that ends otherwise than well, with a sentence for the person who typed it. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: ExitCode
  readonly hint: string | undefined

  constructor(exitCode: ExitCode, message: string, { hint, cause }: CommandFailureOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.exitCode = exitCode
    this.hint = hint
  }
}
