// Jobs: what the registry does in the background.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import { schedules } from '#db/job-schedules.ts'
import { type JobRecord, jobPage } from '#db/jobs.ts'
import { named, page } from '#http/api/answers.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { listOf, time } from '#http/api/schemas.ts'
import { principalName } from '#identity/principal.ts'
import { cancel, enqueue, type JobQueue, retry, show } from '#jobs/queue.ts'

const job = z.object({
  id: z.int(),
  kind: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
  priority: z.int(),
  input: z.unknown(),
  progress: z.unknown(),
  result: z.unknown(),
  error: z.string().nullable(),
  attempts: z.int(),
  worker: z.string().nullable(),
  cancelRequested: z.boolean(),
  actor: z.string().nullable(),
  runAt: time,
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
})

const schedule = z.object({ name: z.string(), kind: z.string(), timing: z.string(), nextAt: time })

const newJob = z.strictObject({
  kind: z.string().max(64),
  input: z.record(z.string(), z.unknown()).default({}),
  priority: z.int().min(-100).max(100).default(0),
})

export const JOB_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/jobs',
    needs: 'overseer',
    about: 'Lists jobs, newest first; those that ended are kept for a week.',
    isList: true,
    query: z.object({ kind: z.string().max(64).optional() }),
    reply: listOf(job),
    async handle({ registry, paging, query }) {
      const before = paging.after === '' ? Number.MAX_SAFE_INTEGER : idOf(paging.after)
      const rows = await jobPage(registry.db, { before, limit: paging.limit + 1, kind: query.kind })
      const items = rows.slice(0, paging.limit)
      const last = items.at(-1)
      const next = rows.length > items.length && last ? String(last.id) : undefined
      return page({ items: items.map(shownJob), next })
    },
  }),
  contentRoute({
    method: 'POST',
    path: '/jobs',
    needs: 'operator',
    about: 'Starts a job, or shows the one that waits or runs already where there can be one only.',
    body: newJob,
    reply: job,
    async handle({ jobs, caller, body }) {
      if (!jobs.kinds.has(body.kind))
        throw new Refusal('invalid', `kind must be one of ${[...jobs.kinds.keys()].join(', ')}`)
      const { id } = await enqueue(jobs, { ...body, actor: principalName(caller.principal) })
      return { status: 201, body: await shownOf(jobs, id) }
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/jobs/:job',
    needs: 'overseer',
    about: 'Shows a job.',
    reply: job,
    handle: async ({ jobs, parameters }) => ({
      status: 200,
      body: await shownOf(jobs, idOf(named(parameters, 'job'))),
    }),
  }),
  contentRoute({
    method: 'POST',
    path: '/jobs/:job/cancel',
    needs: 'operator',
    about: 'Ends a job. One that runs ends within seconds.',
    reply: job,
    async handle({ jobs, parameters }) {
      const id = idOf(named(parameters, 'job'))
      await shownOf(jobs, id)
      if (!(await cancel(jobs, id))) throw new Refusal('conflict', `the job ${id} has ended`)
      return { status: 201, body: await shownOf(jobs, id) }
    },
  }),
  contentRoute({
    method: 'POST',
    path: '/jobs/:job/retry',
    needs: 'operator',
    about: 'Takes up a job that failed or was cancelled, where it stopped.',
    reply: job,
    async handle({ jobs, parameters }) {
      const id = idOf(named(parameters, 'job'))
      await shownOf(jobs, id)
      if (!(await retry(jobs, id)))
        throw new Refusal('conflict', `the job ${id} did not fail, or another one like it waits or runs`)
      return { status: 201, body: await shownOf(jobs, id) }
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/job-kinds',
    needs: 'overseer',
    about: 'Lists the kinds of jobs that this registry has.',
    reply: z.object({ items: z.array(z.object({ kind: z.string(), about: z.string() })) }),
    async handle({ jobs }) {
      const items = [...jobs.kinds.values()].map(({ name, about }) => ({ kind: name, about }))
      return { status: 200, body: { items } }
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/job-schedules',
    needs: 'overseer',
    about: 'Lists what is done by schedule.',
    reply: z.object({ items: z.array(schedule) }),
    async handle({ registry }) {
      const rows = await schedules(registry.db)
      const items = rows.map(({ name, kind, timing, nextAt }) => ({
        ...{ name, kind, timing },
        nextAt: timeText(nextAt),
      }))
      return { status: 200, body: { items } }
    },
  }),
]

/** @throws Refusal unknown */
async function shownOf({ db }: JobQueue, id: number) {
  const found = await show(db, id)
  if (!found) throw new Refusal('unknown', `the job ${id} does not exist`)
  return shownJob(found)
}

function shownJob(row: JobRecord) {
  const { id, kind, state, priority, error, attempts, leaseOwner, cancelRequested, actor } = row
  return {
    ...{ id, kind, state, priority, error, attempts, actor },
    input: JSON.parse(row.input),
    progress: row.progress === null ? null : JSON.parse(row.progress),
    result: row.result === null ? null : JSON.parse(row.result),
    worker: leaseOwner,
    cancelRequested: cancelRequested === 1,
    runAt: timeText(row.runAt),
    createdAt: timeText(row.createdAt),
    startedAt: timeText(row.startedAt),
    finishedAt: timeText(row.finishedAt),
  }
}

/** @throws Refusal unknown */
function idOf(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new Refusal('unknown', `there is no job ${text.slice(0, 20)}`)
  return Number(text)
}
