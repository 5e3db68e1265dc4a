// A log that keeps its lines, for tests that ask what was logged.
import { setTimeout as wait } from 'node:timers/promises'
import type { Log, LogFields } from '#telemetry/log.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly msg: string
  readonly fields: LogFields
}

const POLL_MS = 5
const WAIT_MS_MAX = 5_000

export class RecordingLog implements Log {
  readonly lines: LogLine[]
  readonly #bound: LogFields

  constructor(lines: LogLine[] = [], bound: LogFields = {}) {
    this.lines = lines
    this.#bound = bound
  }

  debug(msg: string, fields?: LogFields): void {
    this.#add('debug', msg, fields)
  }
  info(msg: string, fields?: LogFields): void {
    this.#add('info', msg, fields)
  }
  warn(msg: string, fields?: LogFields): void {
    this.#add('warn', msg, fields)
  }
  error(msg: string, fields?: LogFields): void {
    this.#add('error', msg, fields)
  }
  enabled(): boolean {
    return true
  }
  child(fields: LogFields): Log {
    return new RecordingLog(this.lines, { ...this.#bound, ...fields })
  }

  of(level: LogLine['level']): LogLine[] {
    return this.lines.filter((line) => line.level === level)
  }

  /** The first line that fits, waited for: some lines are written after the reply that they tell of. */
  async first(fits: (line: LogLine) => boolean): Promise<LogLine> {
    for (let waited = 0; waited < WAIT_MS_MAX; waited += POLL_MS) {
      const line = this.lines.find(fits)
      if (line) return line
      await wait(POLL_MS)
    }
    throw new Error('the line was not logged')
  }

  #add(level: LogLine['level'], msg: string, fields: LogFields = {}): void {
    this.lines.push({ level, msg, fields: { ...this.#bound, ...fields } })
  }
}
