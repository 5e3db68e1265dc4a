// Schedules: rows that make jobs by themselves, once for all processes.

import { advanceSchedule, dueSchedules, putSchedule, removeSchedule, schedules } from '#db/job-schedules.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { enqueueIn, type JobQueue } from '#jobs/queue.ts'
import { nextTime } from '#jobs/timing.ts'

/** Those of the configuration begin so: what is not configured any more is removed. */
const CONFIGURED = 'config:'

export interface Schedule {
  readonly name: string
  readonly kind: string
  /** A cron line, or `@every <duration>`. */
  readonly timing: string
  readonly input: unknown
  /** Milliseconds to the first time; from the timing by default. */
  readonly firstMs?: number
}

/** Makes the schedules of the configuration those that are given. @throws Error for a timing that cannot be read */
export async function configureSchedules(queue: JobQueue, wanted: readonly Schedule[]): Promise<void> {
  await queue.db.transaction(
    async (tx) => {
      const now = await queue.clock(tx)
      const names = new Set(wanted.map(({ name }) => `${CONFIGURED}${name}`))
      for (const { name } of await schedules(tx))
        if (name.startsWith(CONFIGURED) && !names.has(name)) await removeSchedule(tx, name)
      for (const { name, kind, timing, input, firstMs } of wanted) {
        const next = nextTime(timing, now)
        const nextAt = firstMs === undefined ? next : Math.min(next, now + firstMs)
        const row = { name: `${CONFIGURED}${name}`, kind, timing, input: JSON.stringify(input), nextAt }
        await putSchedule(tx, row)
      }
    },
    { mayUseReserve: true, locks: NO_LOCKS },
  )
}

/** Makes the jobs that are due. Each schedule waits for its last job to end. Resolves to how many were made. */
export async function runDueSchedules(queue: JobQueue): Promise<number> {
  const due = await dueSchedules(queue.db, await queue.clock(queue.db))
  let made = 0
  for (const schedule of due) {
    const { name, kind, timing, input } = schedule
    // Of another version of this program, which knows the kind.
    if (!queue.kinds.has(kind)) continue
    const isNew = await queue.db.transaction(
      async (tx) => {
        const now = await queue.clock(tx)
        if (!(await advanceSchedule(tx, schedule, nextTime(timing, now), now))) return false
        return (await enqueueIn(tx, queue, { kind, input: JSON.parse(input) }, now, name)).isNew
      },
      { mayUseReserve: true, locks: NO_LOCKS },
    )
    if (isNew) made += 1
  }
  return made
}
