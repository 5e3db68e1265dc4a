// The fields of a log line: secrets blotted out, errors made readable, reserved names moved aside.

export type LogFields = Readonly<Record<string, unknown>>

/** Objects within objects that a field shows. */
export const LOG_FIELD_DEPTH_MAX = 5
/** Members of one object, and elements of one array, that a field shows. */
export const LOG_FIELD_MEMBERS_MAX = 100
/** Characters of one text that a field shows. */
export const LOG_FIELD_CHARS_MAX = 16_384
const CAUSES_MAX = 5

export const REDACTED = '[redacted]'

// How the name ends, in any case: `Authorization`, `http.secret`, `clientPassword`, `set-cookie`, `access_token`.
const SECRET =
  /(?:authorization|password|passwd|passphrase|secret|cookie|token|credentials?|(?:secret|access|private|api)[_-]?key)$/i

/** logrus keeps these for itself too, and puts `fields.` before a field that has one of them. */
const RESERVED = new Set(['time', 'level', 'msg', 'message', '@timestamp', '@version'])

export function isSecretName(name: string): boolean {
  return SECRET.test(name)
}

/** A copy that may be written. An error `e` becomes `e`, its messages down the causes, and `e.stack`. */
export function presentable(fields: LogFields): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const name in fields) {
    const value = fields[name]
    if (value === undefined) continue
    const shown = RESERVED.has(name) ? `fields.${name}` : name
    if (isSecretName(name)) result[shown] = REDACTED
    else if (value instanceof Error) {
      result[shown] = messagesOf(value)
      if (value.stack) result[`${shown}.stack`] = value.stack.slice(0, LOG_FIELD_CHARS_MAX)
    } else result[shown] = presentableValue(value, 1)
  }
  return result
}

function presentableValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > LOG_FIELD_CHARS_MAX ? cut(value) : value
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function')
    return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return messagesOf(value)
  if (value instanceof Date) return Number.isNaN(value.valueOf()) ? null : value.toISOString()
  if (value instanceof URL) return withoutPassword(value)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (depth >= LOG_FIELD_DEPTH_MAX) return '[deeper]'
  if (Array.isArray(value))
    return value.slice(0, LOG_FIELD_MEMBERS_MAX).map((item) => presentableValue(item, depth + 1))
  const entries = Object.entries(value)
    .slice(0, LOG_FIELD_MEMBERS_MAX)
    .map(([name, item]) => [name, isSecretName(name) ? REDACTED : presentableValue(item, depth + 1)])
  return Object.fromEntries(entries)
}

function messagesOf(error: Error): string {
  const messages: string[] = []
  let at: unknown = error
  for (let causes = 0; at !== undefined && causes < CAUSES_MAX; causes++) {
    messages.push(at instanceof Error ? at.message || at.name : String(at))
    at = at instanceof Error ? at.cause : undefined
  }
  return cut(messages.join(': '))
}

function withoutPassword(url: URL): string {
  if (url.password === '') return url.href
  const copy = new URL(url)
  copy.password = 'redacted'
  return copy.href
}

function cut(text: string): string {
  return text.length > LOG_FIELD_CHARS_MAX ? `${text.slice(0, LOG_FIELD_CHARS_MAX)}...` : text
}
