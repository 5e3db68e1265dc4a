// What robots and keys are allowed, and until when, as written on the command line.
import { CommandFailure, EXIT } from '#cli/output.ts'

export interface AllowOptions {
  readonly project?: string
  readonly allow?: readonly string[]
  readonly expires?: string
}

/** `team/**=pull,push`: what is allowed where. */
export function permissionsOf(allow: readonly string[]): unknown[] {
  return allow.map((text) => {
    const [repository = '', rights = ''] = text.split('=')
    if (repository === '' || rights === '')
      throw new CommandFailure(EXIT.usage, `${text} allows nothing: write PATTERN=pull,push`)
    return { repository, rights: rights.split(',') }
  })
}

export function expiryOf(text: string | undefined): string | null {
  if (text === undefined) return null
  const at = new Date(text)
  if (Number.isNaN(at.getTime()))
    throw new CommandFailure(EXIT.usage, `${text} is no time: write 2027-01-31 or 2027-01-31T12:00:00Z`)
  return at.toISOString()
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
