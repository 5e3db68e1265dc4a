// The log: pino underneath, with registry:2's level names and formats on top.
// Logs go to standard error and access lines to standard output, so that either can be kept without the other.
import { type Logger, pino } from 'pino'
import { LogDestination } from '#telemetry/log-destination.ts'
import { type LogFields, presentable } from '#telemetry/log-fields.ts'
import { textLine } from '#telemetry/log-text.ts'

export const LOG_FD = 2
export const ACCESS_LOG_FD = 1

/** What a pipe takes whole, so that lines of several processes do not end up in each other (PIPE_BUF of Linux). */
export const SHARED_WRITE_BYTES = 4096

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
export type LogFormat = 'text' | 'json' | 'logstash'
export type { LogFields } from '#telemetry/log-fields.ts'

/** `msg` is a fixed sentence; what varies goes into fields. Undefined fields are left out. */
export interface Log {
  debug(msg: string, fields?: LogFields): void
  info(msg: string, fields?: LogFields): void
  warn(msg: string, fields?: LogFields): void
  error(msg: string, fields?: LogFields): void
  /** Whether a line of this level would be written: ask before fields that cost something. */
  enabled(level: LogLevel): boolean
  /** The same log with these fields on every line. */
  child(fields: LogFields): Log
}

/** A log that can be brought to an end. */
export interface OpenLog extends Log {
  /** Writes what waits; call it last. Waits at most LOG_FLUSH_MS_MAX for the reader. */
  flush(): Promise<void>
  /** The same for a process that must die now. */
  flushSync(): void
}

export interface LogOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** On every line. */
  readonly fields?: LogFields
  /** File descriptor to write to; LOG_FD unless said otherwise. */
  readonly fd?: number
  /** Bytes of one write, of whole lines, where other processes write to the same descriptor. */
  readonly writeBytesMax?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

const LEVELS: Readonly<Record<string, LogLevel>> = {
  panic: 'fatal',
  fatal: 'fatal',
  error: 'error',
  warn: 'warn',
  warning: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'trace',
}

/** Reads a level as registry:2 names it, in any case; undefined for another word. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.toLowerCase()
  return Object.hasOwn(LEVELS, name) ? LEVELS[name] : undefined
}

export function openLog(options: LogOptions): OpenLog {
  const time = isoClock(options.now ?? Date.now)
  const destination = new LogDestination(
    options.fd ?? LOG_FD,
    (lines) => dropped(options.format, time(), lines),
    options.writeBytesMax,
  )
  const fields = presentable(options.fields ?? {})
  const log =
    options.format === 'text'
      ? textLog(options.level, destination, time, fields)
      : pinoLog(pinoLogger(options, destination, time), fields)
  return Object.assign(log, {
    flush: () => destination.flush(),
    flushSync: () => destination.flushSync(),
  })
}

/** A log that says nothing, for callers that have nowhere to write. */
export function silentLog(): Log {
  return pinoLog(pino({ level: 'silent' }, { write: () => {} }), {})
}

/** Formats each millisecond once: a busy server writes many lines in one. */
function isoClock(now: () => number): () => string {
  let at = Number.NaN
  let text = ''
  return () => {
    const current = now()
    if (current !== at) {
      at = current
      text = new Date(current).toISOString()
    }
    return text
  }
}

function dropped(format: LogFormat, time: string, lines: number): string {
  const msg = 'log lines were dropped: the reader of the log is too slow'
  if (format === 'text') return textLine(time, 'warning', msg, { lines })
  if (format === 'json') return `${JSON.stringify({ level: 'warning', time, lines, msg })}\n`
  return `${JSON.stringify({ level: 'warning', '@timestamp': time, '@version': '1', lines, message: msg })}\n`
}

/** logrus says "warning". */
function levelLabel(level: string): string {
  return level === 'warn' ? 'warning' : level
}

function pinoLogger(options: LogOptions, destination: LogDestination, time: () => string): Logger {
  const logstash = options.format === 'logstash'
  return pino(
    {
      level: options.level,
      base: logstash ? { '@version': '1' } : {},
      messageKey: logstash ? 'message' : 'msg',
      timestamp: logstash ? () => `,"@timestamp":"${time()}"` : () => `,"time":"${time()}"`,
      formatters: { level: (label) => ({ level: levelLabel(label) }) },
    },
    { write: (line) => destination.write(line) },
  )
}

function pinoLog(root: Logger, bound: Readonly<Record<string, unknown>>): Log {
  const logger = root.child(bound)
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (msg: string, fields?: LogFields): void => {
      if (!logger.isLevelEnabled(level)) return
      const shown = presentable(fields ?? {})
      // pino would write a name twice that is bound already: JSON that two readers understand in two ways.
      const clash = Object.keys(shown).some((name) => Object.hasOwn(bound, name))
      if (clash) root[level]({ ...bound, ...shown }, msg)
      else logger[level](shown, msg)
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    enabled: (level) => logger.isLevelEnabled(level),
    child: (fields) => pinoLog(root, { ...bound, ...presentable(fields) }),
  }
}

/** pino can only write JSON, and reading that back to write text would cost more than the line. */
function textLog(
  level: LogLevel,
  destination: LogDestination,
  time: () => string,
  base: Readonly<Record<string, unknown>>,
): Log {
  const threshold = pino.levels.values[level] ?? 0
  const enabled = (wanted: LogLevel) => (pino.levels.values[wanted] ?? 0) >= threshold
  const at =
    (wanted: LogLevel) =>
    (msg: string, fields?: LogFields): void => {
      if (!enabled(wanted)) return
      const all = fields ? { ...base, ...presentable(fields) } : base
      destination.write(textLine(time(), levelLabel(wanted), msg, all))
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    enabled,
    child: (fields) => textLog(level, destination, time, { ...base, ...presentable(fields) }),
  }
}
