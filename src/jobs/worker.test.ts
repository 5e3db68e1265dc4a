import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { type DatabaseClock, databaseNow } from '#db/clock.ts'
import type { Db } from '#db/db.ts'
import { schedules } from '#db/job-schedules.ts'
import { findJob, type JobRecord, jobPage } from '#db/jobs.ts'
import { openSqlite } from '#db/sqlite.ts'
import { type JobKind, type JobRun, jobKind } from '#jobs/job-kind.ts'
import { cancel, enqueue, type JobQueue, kindsByName, retry } from '#jobs/queue.ts'
import type { Outcome } from '#jobs/running-job.ts'
import { configureSchedules, runDueSchedules } from '#jobs/schedules.ts'
import { JobWorker } from '#jobs/worker.ts'
import { silentLog } from '#telemetry/log.ts'

let folder = ''
let path = ''
let db: Db
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-jobs-'))
  path = join(folder, 'registry.sqlite')
  db = await openSqlite({ path })
})
after(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The database's clock, which the test sets forward. */
class Shifted {
  ms = 0
  readonly read: DatabaseClock = async (executor) => (await databaseNow(executor)) + this.ms
}

interface Site {
  readonly queue: JobQueue
  readonly worker: JobWorker
  readonly outcomes: [string, Outcome][]
}

let leases = 0

function site(kinds: readonly JobKind[], clock = new Shifted(), concurrency = 2): Site {
  const outcomes: [string, Outcome][] = []
  const queue: JobQueue = {
    db,
    clock: clock.read,
    kinds: kindsByName(kinds),
    announce: (id) => worker.wake(id),
  }
  const worker = new JobWorker({
    queue,
    concurrency,
    owner: 'test',
    log: silentLog(),
    newId: () => `lease-${leases++}`,
    random: () => 0.5,
    onEnded: (kind, outcome) => outcomes.push([kind, outcome]),
  })
  return { queue, worker, outcomes }
}

let kinds = 0

function kind(run: (job: JobRun<{ readonly n: number }>) => Promise<object>, more: Partial<JobKind> = {}) {
  return jobKind<{ readonly n: number }>({
    name: `kind-${kinds++}`,
    about: 'Tests.',
    input: z.object({ n: z.number().default(0) }),
    attemptsMax: 3,
    run,
    ...(more as object),
  })
}

async function ended(id: number, state: JobRecord['state'] = 'done'): Promise<JobRecord> {
  for (let waited = 0; ; waited += 5) {
    const job = await findJob(db, id)
    if (job?.state === state) return job
    assert.ok(waited < 10_000, `the job is ${job?.state}: ${job?.error}`)
    await wait(5)
  }
}

test('a job runs with its input, tells its result, and its worker does no more than it may at once', async () => {
  let atOnce = 0
  let most = 0
  const doubling = kind(async ({ input }) => {
    atOnce += 1
    most = Math.max(most, atOnce)
    await wait(10)
    atOnce -= 1
    return { result: input.n * 2 }
  })
  const { queue, worker } = site([doubling])
  const ids: number[] = []
  for (let n = 1; n <= 6; n++) ids.push((await enqueue(queue, { kind: doubling.name, input: { n } })).id)
  for (const [index, id] of ids.entries()) assert.equal((await ended(id)).result, String((index + 1) * 2))
  assert.equal(most, 2)
  await worker.stop()
})

test('a job that fails is tried again after a pause, at its cursor, and given up in the end', async () => {
  const clock = new Shifted()
  const seen: unknown[] = []
  const flaky = kind(async ({ cursor, checkpoint }) => {
    seen.push(cursor)
    if (cursor === undefined) await checkpoint({ at: 1 }, { done: 1 })
    throw new Error('not today')
  })
  const { queue, worker, outcomes } = site([flaky], clock)
  const { id } = await enqueue(queue, { kind: flaky.name, input: {} })
  for (let turn = 0; turn < 3; turn++) {
    while (outcomes.length <= turn) await wait(5)
    clock.ms += 3_600_000
    worker.wake()
  }
  const job = await ended(id, 'failed')
  assert.deepEqual([job.error, job.attempts, job.progress], ['not today', 3, '{"done":1}'])
  assert.deepEqual(seen, [undefined, { at: 1 }, { at: 1 }])
  assert.equal(await retry(queue, id), true)
  while (outcomes.length <= 3) await wait(5)
  assert.deepEqual(seen.at(-1), { at: 1 })
  await worker.stop()
})

test('a job goes on later when it says so, and that is no failure', async () => {
  const clock = new Shifted()
  const steps = kind(async ({ cursor }) =>
    cursor === 3 ? { result: 'there' } : { againInMs: 1_000, cursor: Number(cursor ?? 0) + 1 },
  )
  const { queue, worker, outcomes } = site([steps], clock)
  const { id } = await enqueue(queue, { kind: steps.name, input: {} })
  for (let turn = 1; turn <= 3; turn++) {
    while (outcomes.length < turn) await wait(5)
    const waiting = await findJob(db, id)
    assert.deepEqual([waiting?.state, waiting?.cursor, waiting?.attempts], ['waiting', String(turn), 0])
    clock.ms += 1_001
    worker.wake()
  }
  assert.equal((await ended(id)).result, '"there"')
  await worker.stop()
})

function untilTold(started: () => void) {
  return kind(async ({ signal }) => {
    started()
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    signal.throwIfAborted()
    return {}
  })
}

test('a running job is cancelled within a moment', async () => {
  const started = Promise.withResolvers<void>()
  const long = untilTold(started.resolve)
  const { queue, worker } = site([long])
  const { id } = await enqueue(queue, { kind: long.name, input: {} })
  await started.promise
  assert.equal(await cancel(queue, id), true)
  await ended(id, 'cancelled')
  await worker.stop()
})

test('a worker that stops gives its job back, and that costs no attempt', async () => {
  const started = Promise.withResolvers<void>()
  const long = untilTold(started.resolve)
  const first = site([long])
  const { id } = await enqueue(first.queue, { kind: long.name, input: {} })
  await started.promise
  await first.worker.stop()
  const back = await ended(id, 'waiting')
  assert.deepEqual([back.attempts, back.leaseOwner], [0, null])
  await cancel(first.queue, id)
})

test('a worker whose clock runs five minutes ahead takes no job from one that lives', async () => {
  const started = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  let runs = 0
  const slow = kind(async () => {
    runs += 1
    started.resolve()
    await release.promise
    return {}
  })
  const first = site([slow])
  const { id } = await enqueue(first.queue, { kind: slow.name, input: {} })
  await started.promise
  const realNow = Date.now
  try {
    Date.now = () => realNow() + 300_000
    const second = site([slow])
    second.worker.wake()
    await wait(50)
    await second.worker.stop()
  } finally {
    Date.now = realNow
  }
  release.resolve()
  await ended(id)
  assert.equal(runs, 1)
  await first.worker.stop()
})

test('after SIGKILL of its worker another goes on at the cursor, and nothing is skipped', async () => {
  const script = new URL('../../test/processes/counting-worker.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let told = ''
  for await (const chunk of child.stdout) {
    told += String(chunk)
    if (told.split('\n').length > 20) break
  }
  child.kill('SIGKILL')
  await exited
  const done = told.trim().split('\n').map(Number)
  const [left] = await jobPage(db, { before: Number.MAX_SAFE_INTEGER, limit: 1, kind: 'count' })
  assert.ok(left)
  assert.equal(left.state, 'running')
  const clock = new Shifted()
  clock.ms = 61_000
  const rest: number[] = []
  const counting = jobKind<object>({
    name: 'count',
    about: 'Goes on.',
    input: z.object({}),
    attemptsMax: 3,
    async run({ cursor, checkpoint }) {
      for (let n = Number(cursor ?? 0); n < 60; n++) {
        rest.push(n)
        await checkpoint(n + 1)
      }
      return { result: 'all' }
    },
  })
  const { worker } = site([counting], clock)
  worker.wake()
  await ended(left.id)
  // What was done but not yet noted may come twice; nothing may be missing.
  assert.deepEqual(
    [...new Set([...done, ...rest])].sort((a, b) => a - b),
    Array.from({ length: 60 }, (_, n) => n),
  )
  assert.ok((rest[0] ?? 0) >= 18, `it began again at ${rest[0]}`)
  await worker.stop()
})

describe('schedules', () => {
  test('make one job at their time, whoever looks, and none while the last is open', async () => {
    const clock = new Shifted()
    const nightly = kind(async () => ({}))
    const { queue } = site([nightly], clock)
    const other = { ...queue }
    await configureSchedules(queue, [
      { name: 'nightly', kind: nightly.name, timing: '@every 24h', input: {} },
    ])
    assert.equal(await runDueSchedules(queue), 0)
    clock.ms += 25 * 3_600_000
    const made = await Promise.all([runDueSchedules(queue), runDueSchedules(other)])
    assert.equal(made[0] + made[1], 1)
    clock.ms += 25 * 3_600_000
    assert.equal(await runDueSchedules(queue), 0, 'the last one still waits')
    const [schedule] = await schedules(db)
    assert.ok(schedule && schedule.nextAt > (await clock.read(db)))
    await configureSchedules(queue, [])
    assert.deepEqual(await schedules(db), [])
  })
})
