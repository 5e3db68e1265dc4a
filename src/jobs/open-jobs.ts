// The queue with a worker in this process.
import { type DatabaseClock, databaseNow } from '#db/clock.ts'
import type { Db } from '#db/db.ts'
import { openJobs as countOpenJobs } from '#db/jobs.ts'
import type { Signals } from '#db/signals.ts'
import type { JobKind } from '#jobs/job-kind.ts'
import { type JobQueue, kindsByName } from '#jobs/queue.ts'
import type { Outcome } from '#jobs/running-job.ts'
import { configureSchedules, type Schedule } from '#jobs/schedules.ts'
import { JobWorker } from '#jobs/worker.ts'
import type { Log } from '#telemetry/log.ts'

const TOPIC = 'jobs'

export interface JobsOptions {
  readonly db: Db
  readonly signals: Signals
  readonly kinds: readonly JobKind[]
  /** Jobs at the same time in this process; 0 for none: others do them. */
  readonly concurrency: number
  readonly owner: string
  readonly log: Log
  readonly newId: () => string
  readonly random: () => number
  readonly clock?: DatabaseClock
  readonly onEnded?: (kind: string, outcome: Outcome) => void
}

export interface Jobs {
  readonly queue: JobQueue
  /** Makes the schedules of the configuration, and begins to work. */
  start(schedules: readonly Schedule[]): Promise<void>
  counts(): ReturnType<typeof countOpenJobs>
  stop(): Promise<void>
}

export function openJobs(options: JobsOptions): Jobs {
  const { db, signals, kinds, concurrency, clock = databaseNow } = options
  const queue: JobQueue = {
    db,
    clock,
    kinds: kindsByName(kinds),
    announce: (id) => signals.publish(TOPIC, String(id)),
  }
  const worker = concurrency > 0 ? new JobWorker({ ...options, queue }) : undefined
  const forget = signals.subscribe(TOPIC, (text) => {
    const id = Number(text)
    worker?.wake(text === '' || !Number.isSafeInteger(id) ? undefined : id)
  })
  return {
    queue,
    async start(schedules) {
      await configureSchedules(queue, schedules)
      worker?.start()
    },
    counts: async () => countOpenJobs(db, await clock(db)),
    async stop() {
      forget()
      await worker?.stop()
    },
  }
}
