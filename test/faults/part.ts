// A part of the fault tests that is one story: told in steps, ends at the first thing that is wrong, or says why it cannot run.

/** Thrown where this machine does not allow the part. */
export class Skipped extends Error {
  override readonly name = 'Skipped'
}

export interface Part {
  readonly name: string
  /** @throws Skipped, or whatever went wrong */
  run(say: (line: string) => void): Promise<void>
}
