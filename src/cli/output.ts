// Where a command writes: results to standard output, everything else to standard error.

export interface Output {
  /** A line of the result. */
  result(line: string): void
  /** A line for a person: progress, warnings. */
  note(line: string): void
}

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const
