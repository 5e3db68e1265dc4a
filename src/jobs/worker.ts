// A worker: takes jobs off the queue, a few at a time, and makes those that are due by schedule.

import { claimJob, isJobDue, pruneJobs } from '#db/jobs.ts'
import { NO_LOCKS } from '#db/locks.ts'
import type { JobQueue } from '#jobs/queue.ts'
import { LEASE_MS, type Outcome, RunningJob } from '#jobs/running-job.ts'
import { runDueSchedules } from '#jobs/schedules.ts'
import type { Log } from '#telemetry/log.ts'

/** Jobs that other processes add are seen within this time. */
const LOOK_MS = 5_000
const FIRST_LOOK_MS = 1_000
/** Ended jobs are kept for people to look at. */
const KEPT_MS = 7 * 24 * 3_600_000
const PRUNE_INTERVAL_MS = 3_600_000
const PRUNED_AT_ONCE = 500

export interface WorkerOptions {
  readonly queue: JobQueue
  /** Jobs at the same time. */
  readonly concurrency: number
  /** For people: host and process. */
  readonly owner: string
  readonly log: Log
  /** Fresh and unguessable. */
  readonly newId: () => string
  /** From 0 to 1. */
  readonly random: () => number
  /** Told of each end, for the metrics. */
  readonly onEnded?: (kind: string, outcome: Outcome) => void
}

export class JobWorker {
  readonly #options: WorkerOptions
  readonly #running = new Map<number, { readonly job: RunningJob; readonly ended: Promise<void> }>()
  #looking: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined
  #prunedAt = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** Begins to look for jobs. */
  start(): void {
    this.#schedule(FIRST_LOOK_MS)
  }

  /** Says that there may be something to do; with an id, that something about that job changed. */
  wake(id?: number): void {
    if (id !== undefined) void this.#running.get(id)?.job.beat()
    if (this.#stopped) return
    if (this.#looking) this.#again = true
    else void this.#look()
  }

  /** Jobs in the hands of this worker. */
  get running(): number {
    return this.#running.size
  }

  /** Gives back what is under way, and takes nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#looking
    for (const { job } of this.#running.values()) job.stop()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }

  #schedule(afterMs: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) this.#timer = setTimeout(() => this.wake(), afterMs).unref()
  }

  #look(): Promise<void> {
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = undefined
      const again = this.#again
      this.#again = false
      if (again && !this.#stopped) void this.#look()
      else this.#schedule(LOOK_MS)
    })
    return this.#looking
  }

  async #lookOnce(): Promise<void> {
    const { queue, log } = this.#options
    try {
      await runDueSchedules(queue)
      await this.#fill()
      await this.#prune()
    } catch (error) {
      log.warn('the queue of jobs cannot be read now', { error: String(error) })
    }
  }

  async #fill(): Promise<void> {
    const { concurrency } = this.#options
    while (!this.#stopped && this.#running.size < concurrency && (await this.#takeOne()));
  }

  async #takeOne(): Promise<boolean> {
    const { queue, owner, newId, log, random, onEnded } = this.#options
    const kinds = [...queue.kinds.keys()]
    if (!(await isJobDue(queue.db, kinds, await queue.clock(queue.db)))) return false
    const lease = newId()
    const claimed = await queue.db.transaction(
      async (tx) => {
        const now = await queue.clock(tx)
        return claimJob(tx, { kinds, lease, owner, leaseMs: LEASE_MS, now })
      },
      { durable: false, mayUseReserve: true, locks: NO_LOCKS },
    )
    const kind = claimed && queue.kinds.get(claimed.kind)
    if (!kind) return false
    const job = new RunningJob({ queue, kind, job: claimed, lease, log, random })
    const ended = job.run().then((outcome) => {
      this.#running.delete(claimed.id)
      onEnded?.(kind.name, outcome)
      this.wake()
    })
    this.#running.set(claimed.id, { job, ended })
    return true
  }

  async #prune(): Promise<void> {
    const { db, clock } = this.#options.queue
    if (performance.now() - this.#prunedAt < PRUNE_INTERVAL_MS) return
    this.#prunedAt = performance.now()
    await db.transaction(async (tx) => pruneJobs(tx, (await clock(tx)) - KEPT_MS, PRUNED_AT_ONCE), {
      durable: false,
      mayUseReserve: true,
      locks: NO_LOCKS,
    })
  }
}
