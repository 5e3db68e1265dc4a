// Jobs: durable work that one worker at a time holds under a lease. Times are those of the database's clock.
import { sql } from 'kysely'
import type { Executor, Transaction } from '#db/db.ts'
import type { JobState } from '#db/job-schema.ts'

export type { JobState } from '#db/job-schema.ts'

export interface JobRecord {
  readonly id: number
  readonly kind: string
  readonly state: JobState
  readonly priority: number
  readonly runAt: number
  /** JSON, as are cursor, progress and result. */
  readonly input: string
  readonly cursor: string | null
  readonly progress: string | null
  readonly result: string | null
  readonly error: string | null
  readonly attempts: number
  readonly attemptsMax: number
  readonly leaseOwner: string | null
  readonly leaseUntil: number | null
  readonly cancelRequested: number
  readonly actor: string | null
  readonly createdAt: number
  readonly startedAt: number | null
  readonly finishedAt: number | null
}

export interface NewJob {
  readonly kind: string
  readonly uniqueKey: string | null
  readonly priority: number
  readonly runAt: number
  readonly input: string
  readonly attemptsMax: number
  readonly actor: string | null
  readonly now: number
}

const COLUMNS = [
  'id',
  'kind',
  'state',
  'priority',
  'run_at as runAt',
  'input',
  'cursor',
  'progress',
  'result',
  'error',
  'attempts',
  'attempts_max as attemptsMax',
  'lease_owner as leaseOwner',
  'lease_until as leaseUntil',
  'cancel_requested as cancelRequested',
  'actor',
  'created_at as createdAt',
  'started_at as startedAt',
  'finished_at as finishedAt',
] as const

/** Word for word the condition of the indexes jobs_unique and jobs_open. */
const IS_OPEN = sql<boolean>`state in ('waiting', 'running')`
const NO_LEASE = { lease: null, lease_owner: null, lease_until: null } as const

/** The id; undefined when a job with that unique key waits or runs. */
export async function insertJob(tx: Transaction, job: NewJob): Promise<number | undefined> {
  const row = await tx.kysely
    .insertInto('jobs')
    .values({
      kind: job.kind,
      unique_key: job.uniqueKey,
      state: 'waiting',
      priority: job.priority,
      run_at: job.runAt,
      input: job.input,
      attempts: 0,
      attempts_max: job.attemptsMax,
      actor: job.actor,
      created_at: job.now,
    })
    .onConflict((conflict) => conflict.column('unique_key').where(IS_OPEN).doNothing())
    .returning('id')
    .executeTakeFirst()
  return row?.id
}

export function findJob(db: Executor, id: number): Promise<JobRecord | undefined> {
  return db.kysely.selectFrom('jobs').select(COLUMNS).where('id', '=', id).executeTakeFirst()
}

/** The one that waits or runs under the key. */
export function findOpenJob(db: Executor, uniqueKey: string): Promise<JobRecord | undefined> {
  return db.kysely
    .selectFrom('jobs')
    .select(COLUMNS)
    .where('unique_key', '=', uniqueKey)
    .where(IS_OPEN)
    .executeTakeFirst()
}

/** Newest first, those with a smaller id than `before`. */
export function jobPage(
  db: Executor,
  page: { readonly before: number; readonly limit: number; readonly kind?: string | undefined },
): Promise<JobRecord[]> {
  return db.kysely
    .selectFrom('jobs')
    .select(COLUMNS)
    .where('id', '<', page.before)
    .$if(page.kind !== undefined, (query) => query.where('kind', '=', page.kind ?? ''))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .execute()
}

export interface Claim {
  /** Kinds that the worker can do. */
  readonly kinds: readonly string[]
  /** Unguessable and new with each claim. */
  readonly lease: string
  readonly owner: string
  readonly leaseMs: number
  readonly now: number
}

function claimable(db: Executor, { kinds, now }: Pick<Claim, 'kinds' | 'now'>) {
  return db.kysely
    .selectFrom('jobs')
    .select(['id', 'attempts', 'attempts_max as attemptsMax'])
    .where(IS_OPEN)
    .where('kind', 'in', kinds)
    .where((where) =>
      where.or([
        where.and([where('state', '=', 'waiting'), where('run_at', '<=', now)]),
        where.and([where('state', '=', 'running'), where('lease_until', '<', now)]),
      ]),
    )
    .orderBy('priority', 'desc')
    .orderBy('run_at')
    .orderBy('id')
    .limit(1)
}

/** Whether there is something to claim: asked first, since a claim writes. */
export async function isJobDue(db: Executor, kinds: readonly string[], now: number): Promise<boolean> {
  return (await claimable(db, { kinds, now }).executeTakeFirst()) !== undefined
}

/** The job to do next, from now on under that lease; also one whose worker let its lease run out. */
export async function claimJob(tx: Transaction, claim: Claim): Promise<JobRecord | undefined> {
  const next = claimable(tx, claim)
  // Who else claims takes the next one instead of waiting. SQLite has one writer anyway.
  const query = tx.engine === 'postgres' ? next.forUpdate().skipLocked() : next
  for (;;) {
    const found = await query.executeTakeFirst()
    if (!found) return undefined
    if (found.attempts < found.attemptsMax) return take(tx, found.id, claim)
    await giveUp(tx, found.id, claim.now)
  }
}

function take(tx: Transaction, id: number, claim: Claim): Promise<JobRecord> {
  return tx.kysely
    .updateTable('jobs')
    .set((set) => ({
      state: 'running',
      attempts: set('attempts', '+', 1),
      lease: claim.lease,
      lease_owner: claim.owner,
      lease_until: claim.now + claim.leaseMs,
      started_at: set.fn.coalesce('started_at', set.val(claim.now)),
    }))
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

/** Each of its attempts ended with the death of the worker: perhaps the job is what kills it. */
async function giveUp(tx: Transaction, id: number, now: number): Promise<void> {
  await tx.kysely
    .updateTable('jobs')
    .set({ ...NO_LEASE, state: 'failed', error: 'its worker died or vanished each time', finished_at: now })
    .where('id', '=', id)
    .execute()
}

/** Who holds a job: every change of a worker names both, and does nothing once the job is another's. */
export interface Held {
  readonly id: number
  readonly lease: string
}

/** The job's state of cancellation; undefined when the lease is lost. */
export async function renewLease(
  tx: Transaction,
  { id, lease }: Held,
  until: number,
): Promise<{ readonly cancelRequested: number } | undefined> {
  return tx.kysely
    .updateTable('jobs')
    .set({ lease_until: until })
    .where('id', '=', id)
    .where('lease', '=', lease)
    .returning('cancel_requested as cancelRequested')
    .executeTakeFirst()
}

/** Keeps where the job stands. Getting on counts: earlier attempts are forgotten. False when the lease is lost. */
export function checkpointJob(
  tx: Transaction,
  held: Held,
  at: { readonly cursor: string | null; readonly progress: string | null },
): Promise<boolean> {
  return changeHeld(tx, held, { cursor: at.cursor, progress: at.progress, attempts: 1 })
}

export function finishJob(
  tx: Transaction,
  held: Held,
  end: {
    readonly state: 'done' | 'failed' | 'cancelled'
    readonly result: string | null
    readonly error: string | null
    readonly now: number
  },
): Promise<boolean> {
  const { state, result, error, now } = end
  return changeHeld(tx, held, { ...NO_LEASE, state, result, error, finished_at: now })
}

/** Gives the job back, to be done from a time on. */
export function releaseJob(
  tx: Transaction,
  held: Held,
  back: { readonly runAt: number; readonly error: string | null; readonly attempts?: number },
): Promise<boolean> {
  const { runAt, error, attempts } = back
  const counted = attempts === undefined ? {} : { attempts }
  return changeHeld(tx, held, { ...NO_LEASE, ...counted, state: 'waiting', run_at: runAt, error })
}

async function changeHeld(
  tx: Transaction,
  { id, lease }: Held,
  change: Readonly<Record<string, string | number | null>>,
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('jobs')
    .set(change)
    .where('id', '=', id)
    .where('lease', '=', lease)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Ends a job that waits, and asks the worker of one that runs to stop. False when it has ended already. */
export async function cancelJob(tx: Transaction, id: number, now: number): Promise<boolean> {
  const waiting = await tx.kysely
    .updateTable('jobs')
    .set({ state: 'cancelled', finished_at: now })
    .where('id', '=', id)
    .where('state', '=', 'waiting')
    .executeTakeFirst()
  if (waiting.numUpdatedRows > 0n) return true
  const running = await tx.kysely
    .updateTable('jobs')
    .set({ cancel_requested: 1 })
    .where('id', '=', id)
    .where('state', '=', 'running')
    .executeTakeFirst()
  return running.numUpdatedRows > 0n
}

/** Has a job that failed or was cancelled go on at its cursor. False for another one, or when its key is taken by now. */
export async function reviveJob(tx: Transaction, id: number, now: number): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('jobs')
    .set({
      state: 'waiting',
      run_at: now,
      attempts: 0,
      error: null,
      result: null,
      finished_at: null,
      cancel_requested: 0,
    })
    .where('id', '=', id)
    .where('state', 'in', ['failed', 'cancelled'])
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('jobs as other')
            .select('other.id')
            .whereRef('other.unique_key', '=', 'jobs.unique_key')
            .where(sql<boolean>`other.state in ('waiting', 'running')`),
        ),
      ),
    )
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** How many wait and run, and since when the oldest that may run has waited; null when none does. */
export async function openJobs(
  db: Executor,
  now: number,
): Promise<{ readonly waiting: number; readonly running: number; readonly oldestDueAt: number | null }> {
  const rows = await db.kysely
    .selectFrom('jobs')
    .select((select) => [
      'state',
      select.fn.countAll<number>().as('count'),
      select.fn.min<number>('run_at').as('firstAt'),
    ])
    .where(IS_OPEN)
    .groupBy('state')
    .execute()
  const waiting = rows.find(({ state }) => state === 'waiting')
  const running = rows.find(({ state }) => state === 'running')
  return {
    waiting: Number(waiting?.count ?? 0),
    running: Number(running?.count ?? 0),
    oldestDueAt: waiting && Number(waiting.firstAt) <= now ? Number(waiting.firstAt) : null,
  }
}

/** Forgets jobs that ended before a time, at most `limit`; resolves to how many. */
export async function pruneJobs(tx: Transaction, before: number, limit: number): Promise<number> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('jobs')
    .where('id', 'in', (query) =>
      query
        .selectFrom('jobs')
        .select('id')
        .where('finished_at', 'is not', null)
        .where('finished_at', '<', before)
        .orderBy('finished_at')
        .limit(limit),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}
