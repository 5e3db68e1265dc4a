// For src/jobs/worker.test.ts: a process whose worker counts, and says each number, until it is killed.
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { databaseNow } from '#db/clock.ts'
import { openSqlite } from '#db/sqlite.ts'
import { jobKind } from '#jobs/job-kind.ts'
import { enqueue, type JobQueue, kindsByName } from '#jobs/queue.ts'
import { JobWorker } from '#jobs/worker.ts'
import { silentLog } from '#telemetry/log.ts'

const counting = jobKind<object>({
  name: 'count',
  about: 'Counts.',
  input: z.object({}),
  attemptsMax: 3,
  async run({ cursor, checkpoint }) {
    for (let n = Number(cursor ?? 0); ; n++) {
      process.stdout.write(`${n}\n`)
      await checkpoint(n + 1)
      await wait(5)
    }
  },
})

const db = await openSqlite({ path: process.argv[2] ?? '' })
const queue: JobQueue = {
  db,
  clock: databaseNow,
  kinds: kindsByName([counting]),
  announce: (id) => worker.wake(id),
}
const worker = new JobWorker({
  queue,
  concurrency: 1,
  owner: `process ${process.pid}`,
  log: silentLog(),
  newId: () => crypto.randomUUID(),
  random: Math.random,
})
await enqueue(queue, { kind: 'count', input: {} })
// A worker alone keeps no process alive.
setInterval(() => {}, 1_000)
