// The queue: jobs are put into it, looked at, cancelled and taken up again. Workers serve it.
import type { DatabaseClock } from '#db/clock.ts'
import type { Db, Executor, Transaction } from '#db/db.ts'
import { cancelJob, findJob, findOpenJob, insertJob, type JobRecord, reviveJob } from '#db/jobs.ts'
import { NO_LOCKS } from '#db/locks.ts'
import type { JobKind } from '#jobs/job-kind.ts'

export interface JobQueue {
  readonly db: Db
  /** Leases and times are read from one clock, however far those of the processes are apart. */
  readonly clock: DatabaseClock
  /** By name. */
  readonly kinds: ReadonlyMap<string, JobKind>
  /** Says that a job was added or changed. A hint: workers look by themselves too. */
  readonly announce: (id: number) => void
}

export interface JobRequest {
  readonly kind: string
  /** Of the shape that the kind takes. */
  readonly input: unknown
  /** Higher first; 0 by default. */
  readonly priority?: number
  /** Milliseconds before which it does not run. */
  readonly delayMs?: number
  /** Who asked for it; undefined for the registry itself. */
  readonly actor?: string | undefined
}

export interface Enqueued {
  readonly id: number
  /** False when a job with the same key waits or runs already: this is its id. */
  readonly isNew: boolean
}

export function kindsByName(kinds: readonly JobKind[]): ReadonlyMap<string, JobKind> {
  return new Map(kinds.map((kind) => [kind.name, kind]))
}

/** @throws Error for a kind that is not known, ZodError for an input of another shape */
export async function enqueue(queue: JobQueue, request: JobRequest): Promise<Enqueued> {
  const enqueued = await queue.db.transaction(
    async (tx) => enqueueIn(tx, queue, request, await queue.clock(tx)),
    { locks: NO_LOCKS },
  )
  queue.announce(enqueued.id)
  return enqueued
}

/** The same in a transaction of the caller, who announces it. */
export async function enqueueIn(
  tx: Transaction,
  { kinds }: Pick<JobQueue, 'kinds'>,
  request: JobRequest,
  now: number,
  keyOtherwise: string | null = null,
): Promise<Enqueued> {
  const kind = kinds.get(request.kind)
  if (!kind) throw new Error(`there is no job of the kind ${request.kind}`)
  const input = kind.input.parse(request.input)
  const uniqueKey = kind.uniqueKey?.(input) ?? keyOtherwise
  const job = {
    kind: kind.name,
    uniqueKey,
    priority: request.priority ?? 0,
    runAt: now + (request.delayMs ?? 0),
    input: JSON.stringify(input),
    attemptsMax: kind.attemptsMax,
    actor: request.actor ?? null,
    now,
  }
  const id = await insertJob(tx, job)
  if (id !== undefined) return { id, isNew: true }
  const open = uniqueKey === null ? undefined : await findOpenJob(tx, uniqueKey)
  if (!open) throw new Error(`the job ${kind.name} was neither taken nor there`)
  return { id: open.id, isNew: false }
}

/** False when the job has ended. One that runs is told to stop, and ends a moment later. */
export async function cancel(queue: JobQueue, id: number): Promise<boolean> {
  const isCancelled = await queue.db.transaction(async (tx) => cancelJob(tx, id, await queue.clock(tx)), {
    mayUseReserve: true,
    locks: NO_LOCKS,
  })
  queue.announce(id)
  return isCancelled
}

/** Takes up a job that failed or was cancelled, at its cursor. False when it did not, or another has its key. */
export async function retry(queue: JobQueue, id: number): Promise<boolean> {
  const isTaken = await queue.db.transaction(async (tx) => reviveJob(tx, id, await queue.clock(tx)))
  queue.announce(id)
  return isTaken
}

export function show(db: Executor, id: number): Promise<JobRecord | undefined> {
  return findJob(db, id)
}
