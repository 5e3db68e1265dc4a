// One job in the hands of a worker: the lease is renewed while the handler works, and the end is written down.
import type { Transaction } from '#db/db.ts'
import { checkpointJob, finishJob, type Held, type JobRecord, releaseJob, renewLease } from '#db/jobs.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { backoffMs } from '#jobs/backoff.ts'
import { JobCancelled, type JobEnd, type JobKind, LeaseLost, WorkerStopping } from '#jobs/job-kind.ts'
import type { JobQueue } from '#jobs/queue.ts'
import type { Log } from '#telemetry/log.ts'

/** A worker that was killed keeps a job from others for so long. */
export const LEASE_MS = 60_000
/** A cancelled job hears of it within this time. */
export const HEARTBEAT_MS = 10_000
const ERROR_CHARS_MAX = 2_000
const JSON_CHARS_MAX = 1024 * 1024

/** `again`: to go on later as planned; `retried`: failed, and to be tried again; `lost`: another's by now. */
export type Outcome = 'done' | 'failed' | 'cancelled' | 'again' | 'retried' | 'released' | 'lost'

export interface RunningJobOptions {
  readonly queue: JobQueue
  readonly kind: JobKind
  readonly job: JobRecord
  readonly lease: string
  readonly log: Log
  /** From 0 to 1. */
  readonly random: () => number
}

export class RunningJob {
  readonly #queue: JobQueue
  readonly #kind: JobKind
  readonly #job: JobRecord
  readonly #held: Held
  readonly #log: Log
  readonly #random: () => number
  readonly #abort = new AbortController()
  #attempts: number
  #renewedAt = performance.now()

  constructor({ queue, kind, job, lease, log, random }: RunningJobOptions) {
    this.#queue = queue
    this.#kind = kind
    this.#job = job
    this.#held = { id: job.id, lease }
    this.#log = log
    this.#random = random
    this.#attempts = job.attempts
  }

  /** Ends the handler soon; the job goes back to the queue. */
  stop(): void {
    this.#abort.abort(new WorkerStopping())
  }

  /** Never rejects. */
  async run(): Promise<Outcome> {
    const beating = setInterval(() => void this.beat(), HEARTBEAT_MS).unref()
    try {
      const end = await this.#work()
      const outcome = end.againInMs === undefined ? 'done' : 'again'
      return await this.#settle((tx, now) => this.#end(tx, end, now), outcome)
    } catch (error) {
      return await this.#failed(error)
    } finally {
      clearInterval(beating)
    }
  }

  /** Renews the lease, and hears whether the job was cancelled. Never rejects. */
  async beat(): Promise<void> {
    try {
      const renewed = await this.#queue.db.transaction(
        async (tx) => renewLease(tx, this.#held, (await this.#queue.clock(tx)) + LEASE_MS),
        { durable: false, mayUseReserve: true, locks: NO_LOCKS },
      )
      if (!renewed) this.#abort.abort(new LeaseLost())
      else if (renewed.cancelRequested) this.#abort.abort(new JobCancelled())
      else this.#renewedAt = performance.now()
    } catch (error) {
      this.#log.warn('the lease of a job could not be renewed', { job: this.#job.id, error: String(error) })
      if (performance.now() - this.#renewedAt > LEASE_MS - HEARTBEAT_MS) this.#abort.abort(new LeaseLost())
    }
  }

  async #work(): Promise<JobEnd> {
    const { input, cursor, id } = this.#job
    return this.#kind.run({
      id,
      input: this.#kind.input.parse(JSON.parse(input)),
      cursor: cursor === null ? undefined : JSON.parse(cursor),
      signal: this.#abort.signal,
      checkpoint: (at, progress) => this.#checkpoint(at, progress),
    })
  }

  async #checkpoint(cursor: unknown, progress: unknown): Promise<void> {
    const at = { cursor: jsonOf(cursor), progress: jsonOf(progress) }
    const isHeld = await this.#queue.db.transaction((tx) => checkpointJob(tx, this.#held, at), {
      durable: false,
      mayUseReserve: true,
      locks: NO_LOCKS,
    })
    this.#attempts = 1
    if (!isHeld) this.#abort.abort(new LeaseLost())
    this.#abort.signal.throwIfAborted()
  }

  async #end(tx: Transaction, end: JobEnd, now: number): Promise<boolean> {
    if (end.againInMs === undefined)
      return finishJob(tx, this.#held, { state: 'done', result: jsonOf(end.result), error: null, now })
    await checkpointJob(tx, this.#held, { cursor: jsonOf(end.cursor), progress: jsonOf(end.progress) })
    return releaseJob(tx, this.#held, { runAt: now + end.againInMs, error: null, attempts: 0 })
  }

  async #failed(error: unknown): Promise<Outcome> {
    const { reason } = this.#abort.signal
    if (reason instanceof LeaseLost) {
      this.#log.warn('a job was lost to another worker', { job: this.#job.id, kind: this.#kind.name })
      return 'lost'
    }
    if (reason instanceof JobCancelled)
      return this.#settle(
        (tx, now) => finishJob(tx, this.#held, { state: 'cancelled', result: null, error: null, now }),
        'cancelled',
      )
    if (reason instanceof WorkerStopping) {
      const attempts = Math.max(0, this.#attempts - 1)
      return this.#settle(
        (tx, now) => releaseJob(tx, this.#held, { runAt: now, error: null, attempts }),
        'released',
      )
    }
    const told = (error instanceof Error ? error.message : String(error)).slice(0, ERROR_CHARS_MAX)
    const fields = { job: this.#job.id, kind: this.#kind.name, attempt: this.#attempts, error: told }
    if (this.#attempts >= this.#job.attemptsMax) {
      this.#log.error('a job failed and is given up', fields)
      return this.#settle(
        (tx, now) => finishJob(tx, this.#held, { state: 'failed', result: null, error: told, now }),
        'failed',
      )
    }
    const retryMs = backoffMs(this.#attempts, this.#random())
    this.#log.warn('a job failed and is tried again', { ...fields, retryMs })
    return this.#settle(
      (tx, now) => releaseJob(tx, this.#held, { runAt: now + retryMs, error: told }),
      'retried',
    )
  }

  /** Writes the end down. When that fails the lease runs out, and the job is done once more. */
  async #settle(
    write: (tx: Transaction, now: number) => Promise<boolean>,
    outcome: Outcome,
  ): Promise<Outcome> {
    try {
      const isHeld = await this.#queue.db.transaction(async (tx) => write(tx, await this.#queue.clock(tx)), {
        mayUseReserve: true,
      })
      return isHeld ? outcome : 'lost'
    } catch (error) {
      this.#log.error('the end of a job could not be written down: it will be done once more', {
        job: this.#job.id,
        kind: this.#kind.name,
        error: String(error),
      })
      return 'lost'
    }
  }
}

/** @throws Error for more than a row should hold */
function jsonOf(value: unknown): string | null {
  if (value === undefined) return null
  const text = JSON.stringify(value)
  if (text.length > JSON_CHARS_MAX) throw new Error(`a job keeps at most ${JSON_CHARS_MAX} characters`)
  return text
}
