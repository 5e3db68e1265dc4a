import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Db } from '#db/db.ts'
import { eventsAfter, newestEventId } from '#db/events.ts'
import { findPulls } from '#db/pulls.ts'
import { ensureRepository } from '#db/repositories.ts'
import { ReadRecorder } from '#events/reads.ts'
import type { Caller } from '#identity/caller.ts'
import { digestOf } from '#oci/digest.ts'
import { silentLog } from '#telemetry/log.ts'
import { openFacts } from '../../test/processes/test-database.ts'

const CALLER: Caller = {
  principal: { kind: 'user', name: 'ann' },
  requestId: 'r1',
  method: 'GET',
  origin: () => 'https://registry.example.com',
  remote: '203.0.113.9',
  userAgent: 'containerd/2',
}
const FACT = { repository: 'app', digest: digestOf('x'), size: 7, durationMs: 1.5 }

let db: Db
before(async () => {
  db = await openFacts()
})
after(() => db.close())

test('a pull is recorded with who, what, from where, how much and how long', async () => {
  const start = await newestEventId(db)
  const reads = new ReadRecorder(db, silentLog(), () => 1_234)
  reads.add('manifest.pulled', { ...FACT, tag: 'v1', mediaType: 'a/b' }, CALLER)
  await reads.flush()
  const [event] = await eventsAfter(db, start, 10)
  assert.deepEqual(
    { ...event, id: 0 },
    {
      ...{ id: 0, at: 1_234, kind: 'manifest.pulled', repository: 'app', digest: digestOf('x'), tag: 'v1' },
      ...{ mediaType: 'a/b', size: 7, fromRepository: null, actor: 'ann', remote: '203.0.113.9' },
      ...{ userAgent: 'containerd/2', requestId: 'r1', durationMs: 1.5 },
      ...{ method: 'GET', origin: 'https://registry.example.com' },
    },
  )
  await reads.close()
})

test('pulls wait in memory, are written in order by a flush, and the rest by the close', async () => {
  const start = await newestEventId(db)
  let at = 0
  const reads = new ReadRecorder(db, silentLog(), () => ++at)
  for (let count = 0; count < 600; count++) reads.add('blob.pulled', FACT, CALLER)
  assert.equal(await newestEventId(db), start)
  await reads.flush()
  reads.add('blob.pulled', FACT, CALLER)
  await reads.close()
  const events = await eventsAfter(db, start, 1_000)
  assert.deepEqual(
    events.map((event) => event.at),
    Array.from({ length: 601 }, (_, index) => index + 1),
  )
  assert.equal(reads.dropped, 0)
})

test('the last pull of a manifest and of a tag is kept beside the events', async () => {
  await db.transaction((tx) => ensureRepository(tx, 'app', 1))
  let at = 0
  const reads = new ReadRecorder(db, silentLog(), () => ++at)
  const before = (await findPulls(db, 'app', FACT.digest))?.count ?? 0
  reads.add('manifest.pulled', { ...FACT, tag: 'stable' }, CALLER)
  reads.add('manifest.pulled', FACT, CALLER)
  reads.add('blob.pulled', FACT, CALLER)
  await reads.flush()
  assert.deepEqual({ ...(await findPulls(db, 'app', FACT.digest)) }, { at: 2, count: before + 2 })
  assert.deepEqual({ ...(await findPulls(db, 'app', 'stable')) }, { at: 1, count: 1 })
  await reads.close()
})

test('flushes at once write nothing twice', async () => {
  const start = await newestEventId(db)
  const reads = new ReadRecorder(db, silentLog(), Date.now)
  for (let count = 0; count < 10; count++) {
    reads.add('blob.pulled', FACT, CALLER)
    void reads.flush()
  }
  await reads.close()
  assert.equal((await eventsAfter(db, start, 100)).length, 10)
})

test('more than memory may hold is dropped and counted', async () => {
  const closed = await openFacts()
  const reads = new ReadRecorder(closed, silentLog(), Date.now)
  for (let count = 0; count < 50_100; count++) reads.add('blob.pulled', FACT, CALLER)
  assert.equal(reads.dropped, 100)
  // What the database refuses is counted too, and nobody who pulls hears of it.
  await closed.close()
  await reads.close()
  assert.equal(reads.dropped, 50_100)
})
