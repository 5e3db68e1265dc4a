/** The configuration cannot be used. Every problem at once, one sentence each, none with a secret in it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  /** @param source the file, or what stands for it, for the message */
  constructor(source: string, problems: readonly string[], options?: ErrorOptions) {
    const list = problems.length === 1 ? ` ${problems[0]}` : problems.map((one) => `\n  - ${one}`).join('')
    super(`${source}:${list}`, options)
    this.problems = problems
  }
}
