// When a schedule is due: a cron line in UTC, or `@every` and a duration as Go writes it.
import { Cron } from 'croner'
import { parseGoDuration } from '#lib/go-duration.ts'

const EVERY = '@every '
const EVERY_MS_MIN = 1_000

/**
 * The next time after one, milliseconds since 1970.
 * @throws Error with what is wrong with the text
 */
export function nextTime(timing: string, after: number): number {
  if (timing.startsWith(EVERY)) return after + everyMs(timing)
  const next = cronOf(timing).nextRun(new Date(after))
  if (!next) throw new Error(`${JSON.stringify(timing)} never comes`)
  return next.getTime()
}

/** What is wrong with the text ("must be ..."); undefined when nothing is. */
export function timingFault(timing: string): string | undefined {
  try {
    nextTime(timing, 0)
    return undefined
  } catch {
    return 'must be a cron line of five fields such as "0 3 * * *", or a pause such as "@every 24h"'
  }
}

function everyMs(timing: string): number {
  const ms = parseGoDuration(timing.slice(EVERY.length))
  if (ms === undefined || ms < EVERY_MS_MIN)
    throw new Error('the pause must be a duration of a second or more')
  return ms
}

function cronOf(line: string): Cron {
  // An offset and not a time zone: asking the system for one loads its tables of them, eight megabytes.
  return new Cron(line, { mode: '5-part', utcOffset: 0, paused: true })
}
