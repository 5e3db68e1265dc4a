// What the queries of jobs, schedules and pulls promise, on any engine. Part of queriesSuite.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { databaseNow } from '#db/clock.ts'
import { NOW } from '#db/content-queries.suite.ts'
import type { Db } from '#db/db.ts'
import { advanceSchedule, dueSchedules, putSchedule, removeSchedule, schedules } from '#db/job-schedules.ts'
import {
  cancelJob,
  checkpointJob,
  claimJob,
  findJob,
  findOpenJob,
  finishJob,
  insertJob,
  isJobDue,
  jobPage,
  type NewJob,
  openJobs,
  pruneJobs,
  releaseJob,
  renewLease,
  reviveJob,
} from '#db/jobs.ts'
import { addPulls, findPulls } from '#db/pulls.ts'
import { ensureRepository } from '#db/repositories.ts'
import { digestOf } from '#oci/digest.ts'

const LEASE_MS = 60_000

/** @param db the database, once the tests run */
export function jobQueries(db: () => Db): void {
  const add = (kind: string, more: Partial<NewJob> = {}) =>
    db().transaction((tx) =>
      insertJob(tx, {
        ...{ kind, uniqueKey: null, priority: 0, runAt: NOW, input: '{}', attemptsMax: 3, actor: null },
        ...{ now: NOW, ...more },
      }),
    )
  const claim = (kind: string, lease: string, now = NOW) =>
    db().transaction((tx) =>
      claimJob(tx, { kinds: [kind], lease, owner: `host ${lease}`, leaseMs: LEASE_MS, now }),
    )
  const idOf = async (adding: Promise<number | undefined>) => {
    const id = await adding
    assert.ok(id !== undefined)
    return id
  }

  test('the clock of the database is near the one of this machine', async () => {
    const now = await databaseNow(db())
    assert.ok(Math.abs(now - Date.now()) < 60_000, String(now))
    assert.ok(Number.isSafeInteger(now))
  })

  describe('jobs', () => {
    test('are claimed by priority, then by time, and only when they are due', async () => {
      const late = await idOf(add('order', { runAt: NOW + 5 }))
      const second = await idOf(add('order', { runAt: NOW - 1 }))
      const first = await idOf(add('order', { priority: 9 }))
      assert.ok(await isJobDue(db(), ['order'], NOW))
      assert.equal((await claim('order', 'a'))?.id, first)
      assert.equal((await claim('order', 'b'))?.id, second)
      assert.equal(await claim('order', 'c'), undefined)
      assert.equal(await isJobDue(db(), ['order'], NOW), false)
      assert.equal((await claim('order', 'd', NOW + 5))?.id, late)
    })

    test('have one that waits or runs under a key', async () => {
      const id = await idOf(add('unique', { uniqueKey: 'one' }))
      assert.equal(await add('unique', { uniqueKey: 'one' }), undefined)
      assert.equal((await findOpenJob(db(), 'one'))?.id, id)
      await claim('unique', 'a')
      assert.equal(await add('unique', { uniqueKey: 'one' }), undefined)
      const end = { state: 'done', result: '"x"', error: null, now: NOW + 1 } as const
      assert.ok(await db().transaction((tx) => finishJob(tx, { id, lease: 'a' }, end)))
      assert.ok(await add('unique', { uniqueKey: 'one' }))
      const found = await findJob(db(), id)
      assert.deepEqual([found?.state, found?.result, found?.leaseOwner], ['done', '"x"', null])
    })

    test('whose lease ran out are another worker’s, and the first can change nothing more', async () => {
      const id = await idOf(add('lost'))
      await claim('lost', 'a')
      const at = { cursor: '7', progress: '{"done":7}' }
      assert.ok(await db().transaction((tx) => checkpointJob(tx, { id, lease: 'a' }, at)))
      assert.equal(await claim('lost', 'b', NOW + LEASE_MS), undefined)
      const renewed = await db().transaction((tx) => renewLease(tx, { id, lease: 'a' }, NOW + LEASE_MS + 10))
      assert.equal(renewed?.cancelRequested, 0)
      assert.equal(await claim('lost', 'b', NOW + LEASE_MS + 1), undefined)
      const taken = await claim('lost', 'b', NOW + LEASE_MS + 11)
      assert.deepEqual([taken?.id, taken?.cursor, taken?.attempts], [id, '7', 2])
      assert.equal(await db().transaction((tx) => renewLease(tx, { id, lease: 'a' }, NOW)), undefined)
      assert.equal(await db().transaction((tx) => checkpointJob(tx, { id, lease: 'a' }, at)), false)
    })

    test('that take their worker with them are given up after so many attempts', async () => {
      const id = await idOf(add('poison', { attemptsMax: 2 }))
      for (const turn of [0, 1]) assert.ok(await claim('poison', `p${turn}`, NOW + turn * (LEASE_MS + 1)))
      assert.equal(await claim('poison', 'p2', NOW + 2 * LEASE_MS + 10), undefined)
      assert.equal((await findJob(db(), id))?.state, 'failed')
    })

    test('are cancelled at once when they wait, asked to stop when they run, and taken up again', async () => {
      const id = await idOf(add('cancel', { uniqueKey: 'cancelled' }))
      assert.ok(await db().transaction((tx) => cancelJob(tx, id, NOW)))
      assert.equal((await findJob(db(), id))?.state, 'cancelled')
      assert.equal(await db().transaction((tx) => cancelJob(tx, id, NOW)), false)
      assert.ok(await db().transaction((tx) => reviveJob(tx, id, NOW)))
      await claim('cancel', 'a')
      assert.ok(await db().transaction((tx) => cancelJob(tx, id, NOW)))
      const renewed = await db().transaction((tx) => renewLease(tx, { id, lease: 'a' }, NOW))
      assert.equal(renewed?.cancelRequested, 1)
      const end = { state: 'cancelled', result: null, error: null, now: NOW } as const
      await db().transaction((tx) => finishJob(tx, { id, lease: 'a' }, end))
      await add('cancel', { uniqueKey: 'cancelled' })
      assert.equal(await db().transaction((tx) => reviveJob(tx, id, NOW)), false, 'another has its key')
    })

    test('go back to wait for a later time, are counted, listed newest first, and forgotten', async () => {
      const id = await idOf(add('back'))
      await claim('back', 'a')
      const before = await openJobs(db(), NOW)
      await db().transaction((tx) =>
        releaseJob(tx, { id, lease: 'a' }, { runAt: NOW + 9, error: 'no', attempts: 0 }),
      )
      const after = await openJobs(db(), NOW)
      assert.deepEqual([after.running - before.running, after.waiting - before.waiting], [-1, 1])
      const last = await idOf(add('back'))
      const listed = await jobPage(db(), { before: last + 1, limit: 10, kind: 'back' })
      assert.deepEqual(
        listed.map((job) => [job.id, job.error, job.attempts]),
        [
          [last, null, 0],
          [id, 'no', 0],
        ],
      )
      await db().transaction((tx) => cancelJob(tx, last, NOW))
      assert.ok((await db().transaction((tx) => pruneJobs(tx, NOW + 1, 100))) > 0)
      assert.equal(await findJob(db(), last), undefined)
      assert.ok(await findJob(db(), id))
    })
  })

  test('schedules are due once for whoever is first, and keep their time while their timing stays', async () => {
    const row = { name: 's', kind: 'k', timing: '@every 1h', input: '{}', nextAt: NOW }
    await db().transaction((tx) => putSchedule(tx, row))
    await db().transaction((tx) => putSchedule(tx, { ...row, nextAt: NOW + 99 }))
    const [due] = await dueSchedules(db(), NOW)
    assert.ok(due)
    assert.ok(await db().transaction((tx) => advanceSchedule(tx, due, NOW + 10, NOW)))
    assert.equal(await db().transaction((tx) => advanceSchedule(tx, due, NOW + 20, NOW)), false)
    await db().transaction((tx) => putSchedule(tx, { ...row, input: '{"a":1}', nextAt: NOW + 99 }))
    const [known] = await schedules(db())
    assert.deepEqual([known?.nextAt, known?.lastAt, known?.input], [NOW + 10, NOW, '{"a":1}'])
    await db().transaction((tx) => putSchedule(tx, { ...row, timing: '@every 2h', nextAt: NOW + 99 }))
    assert.equal((await schedules(db()))[0]?.nextAt, NOW + 99)
    await db().transaction((tx) => removeSchedule(tx, 's'))
    assert.deepEqual(await schedules(db()), [])
  })

  test('pulls are summed up by digest and by tag, with the time of the last', async () => {
    await db().transaction((tx) => ensureRepository(tx, 'pulled/app', NOW))
    const digest = digestOf('pulled')
    const add = (name: string, at: number, count: number) =>
      db().transaction((tx) => addPulls(tx, { repository: 'pulled/app', name, at, count }))
    await add(digest, NOW + 5, 2)
    await add(digest, NOW, 1)
    await add('v1', NOW + 1, 1)
    await db().transaction((tx) => addPulls(tx, { repository: 'nobody', name: digest, at: NOW, count: 1 }))
    assert.deepEqual({ ...(await findPulls(db(), 'pulled/app', digest)) }, { at: NOW + 5, count: 3 })
    assert.deepEqual({ ...(await findPulls(db(), 'pulled/app', 'v1')) }, { at: NOW + 1, count: 1 })
    assert.equal(await findPulls(db(), 'nobody', digest), undefined)
  })
}
