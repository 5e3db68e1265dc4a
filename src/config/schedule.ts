import { timingFault } from '#jobs/timing.ts'
import { text } from '#lib/settings/values.ts'

/** A setting that says when something is done by itself. */
export function schedule(about: string, initial: string) {
  return text(
    `${about} A cron line in UTC, or \`@every\` and a duration.`,
    { initial },
    timingFault,
    'schedule',
  )
}
