// What the query files promise, on any engine.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { linkBlob } from '#db/blobs.ts'
import { contentQueries, NOW } from '#db/content-queries.suite.ts'
import type { Db } from '#db/db.ts'
import { eventCursor, setEventCursor } from '#db/event-cursors.ts'
import {
  eventsAfter,
  firstEventSince,
  insertEvent,
  type NewEvent,
  newestEventId,
  pruneEvents,
} from '#db/events.ts'
import { jobQueries } from '#db/job-queries.suite.ts'
import { blobLock, repositoryLock } from '#db/locks.ts'
import { ensureRepository, findRepository } from '#db/repositories.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import {
  beginUploadAnew,
  claimUpload,
  countUploads,
  deleteUpload,
  findUpload,
  freeAllUploads,
  freeUploadsOf,
  insertUpload,
  recordUploadProgress,
  releaseUpload,
  seizeUpload,
  staleUploads,
} from '#db/uploads.ts'
import { digestOf } from '#oci/digest.ts'

export interface DbUnderTest {
  readonly db: Db
  readonly close: () => Promise<void>
}

export function queriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`queries on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    before(async () => {
      const opened = await open()
      db = opened.db
      close = opened.close
    })
    after(() => close())

    describe('transactions', () => {
      test('that reject leave nothing behind', async () => {
        const failed = db.transaction(async (tx) => {
          await ensureRepository(tx, 'never', NOW)
          throw new Error('second thoughts')
        })
        await assert.rejects(failed, /second thoughts/)
        assert.equal(await findRepository(db, 'never'), undefined)
      })

      test('see what they wrote, and nobody else does before the commit', async () => {
        await db.transaction(async (tx) => {
          await ensureRepository(tx, 'within', NOW)
          assert.ok(await findRepository(tx, 'within'))
          assert.equal(await findRepository(db, 'within'), undefined)
        })
        assert.ok(await findRepository(db, 'within'))
      })

      test('run as if one came after the other', async () => {
        await Promise.all(
          Array.from({ length: 20 }, (_, number) =>
            db.transaction(
              async (tx) => {
                const before = Number((await getSetting(tx, 'counter')) ?? 0)
                await Promise.resolve()
                await setSetting(tx, 'counter', String(before + 1))
              },
              { durable: number % 2 === 0 },
            ),
          ),
        )
        assert.equal(await getSetting(db, 'counter'), '20')
      })

      test('that name the same lock wait for each other, in whatever order they name several', async () => {
        const names = [repositoryLock('counted'), repositoryLock('also'), blobLock(digestOf('counted'))]
        await Promise.all(
          Array.from({ length: 20 }, (_, number) =>
            db.transaction(
              async (tx) => {
                const before = Number((await getSetting(tx, 'locked')) ?? 0)
                await Promise.resolve()
                await setSetting(tx, 'locked', String(before + 1))
              },
              { locks: number % 2 === 0 ? names : names.toReversed() },
            ),
          ),
        )
        assert.equal(await getSetting(db, 'locked'), '20')
      })

      test('go on after one that failed in the engine', async () => {
        await assert.rejects(db.transaction((tx) => linkBlob(tx, { repositoryId: -1, blobId: -1, now: NOW })))
        assert.ok(await db.transaction((tx) => ensureRepository(tx, 'after-failure', NOW)))
      })
    })

    contentQueries(() => db)
    jobQueries(() => db)

    test('uploads have their progress, and the oldest idle ones are found first', async () => {
      for (const [index, id] of ['u1', 'u2', 'u3'].entries()) {
        const upload = {
          id,
          repository: 'u',
          algorithm: 'sha512' as const,
          actor: index === 0 ? 'ann' : null,
          now: NOW + index,
        }
        await db.transaction((tx) => insertUpload(tx, upload))
      }
      await db.transaction((tx) =>
        recordUploadProgress(tx, {
          ...{ id: 'u1', claims: 0, size: 5 },
          ...{ digest: digestOf('x'), boot: 'b1', now: NOW + 10 },
        }),
      )
      const expected = {
        id: 'u1',
        repository: 'u',
        algorithm: 'sha512',
        size: 5,
        digest: digestOf('x'),
        actor: 'ann',
        createdAt: NOW,
        updatedAt: NOW + 10,
        claims: 0,
        begun: 0,
        writer: null,
        boot: 'b1',
      }
      assert.deepEqual({ ...(await findUpload(db, 'u1')) }, expected)
      assert.deepEqual(
        (await staleUploads(db, NOW + 5, 10)).map(({ id }) => id),
        ['u2', 'u3'],
      )
      assert.deepEqual(
        (await staleUploads(db, NOW + 5, 1)).map(({ id }) => id),
        ['u2'],
      )
      assert.equal(await countUploads(db), 3)
      const first = { id: 'u1', claims: 0 }
      assert.equal(await db.transaction((tx) => deleteUpload(tx, first)), true)
      assert.equal(await db.transaction((tx) => deleteUpload(tx, first)), false)
      assert.equal(await findUpload(db, 'u1'), undefined)
    })

    test('an upload is claimed by one writer, and what an earlier claim says no longer counts', async () => {
      const id = 'claimed'
      const fresh = { id, repository: 'u', algorithm: 'sha256' as const, actor: null, now: NOW }
      await db.transaction((tx) => insertUpload(tx, fresh))
      const claim = (writer: string) => db.transaction((tx) => claimUpload(tx, { id, writer, now: NOW }))
      const first = await claim('one')
      assert.deepEqual([first?.claims, first?.writer], [1, 'one'])
      assert.equal(await claim('two'), undefined, 'while somebody writes')
      const seen = { id, claims: 1, writer: 'two', now: NOW }
      const second = await db.transaction((tx) => seizeUpload(tx, seen))
      assert.deepEqual([second?.claims, second?.writer, second?.begun], [2, 'two', 0])
      assert.equal(await db.transaction((tx) => seizeUpload(tx, seen)), undefined, 'seen too long ago')
      const progress = { id, size: 9, digest: null, boot: null, now: NOW }
      const told = (claims: number) =>
        db.transaction((tx) => recordUploadProgress(tx, { ...progress, claims }))
      assert.equal(await told(1), false, 'the older request')
      assert.equal(await db.transaction((tx) => deleteUpload(tx, { id, claims: 1 })), false)
      assert.equal(await db.transaction((tx) => beginUploadAnew(tx, { id, claims: 1 })), false)
      assert.equal(await db.transaction((tx) => beginUploadAnew(tx, { id, claims: 2 })), true)
      await db.transaction((tx) => releaseUpload(tx, { id, claims: 1 }))
      assert.equal((await findUpload(db, id))?.writer, 'two')
      assert.equal(await told(2), true)
      const { size, writer, begun } = (await findUpload(db, id)) ?? {}
      assert.deepEqual({ size, writer, begun }, { size: 9, writer: null, begun: 2 })
      await claim('three')
      assert.equal(await db.transaction((tx) => freeUploadsOf(tx, 'two')), 0)
      assert.equal(await db.transaction((tx) => freeUploadsOf(tx, 'three')), 1)
      await claim('four')
      assert.equal(await db.transaction((tx) => freeAllUploads(tx)), 1)
      assert.equal((await claim('five'))?.claims, 5)
      await db.transaction((tx) => deleteUpload(tx, { id, claims: 5 }))
    })

    test('events come in order, are remembered by cursors, and are pruned only when every reader has seen them', async () => {
      const event = (at: number, kind: string, tag: string | null = null): NewEvent => ({
        ...{
          at,
          kind,
          repository: 'e',
          tag,
          digest: digestOf('e'),
          mediaType: null,
          size: 1,
          fromRepository: null,
        },
        ...{ actor: 'ann', remote: null, userAgent: null, requestId: 'r', durationMs: 1.5 },
        ...{ method: 'PUT', origin: 'https://registry.example.com' },
      })
      const prune = (limit: number, kinds = ['blob.pushed', 'blob.pulled']) =>
        db.transaction((tx) => pruneEvents(tx, { kinds, before: 100, limit }))
      await db.transaction((tx) => insertEvent(tx, event(1, 'tag.deleted', 'unread')))
      assert.equal(await prune(10, ['tag.deleted']), 1, 'where nobody reads them, age alone counts')
      const start = await newestEventId(db)
      await db.transaction(async (tx) => {
        for (let at = 1; at <= 6; at++)
          await insertEvent(tx, event(at, at % 2 === 0 ? 'blob.pulled' : 'blob.pushed', `t${at}`))
      })
      const events = await eventsAfter(db, start, 4)
      assert.deepEqual(
        events.map(({ at }) => at),
        [1, 2, 3, 4],
      )
      assert.deepEqual({ ...events[0] }, { ...event(1, 'blob.pushed', 't1'), id: events[0]?.id })
      assert.equal(await firstEventSince(db, 3), events[2]?.id)
      assert.equal(await firstEventSince(db, 7), undefined)
      assert.equal(await eventCursor(db, 'fast'), 0)
      await db.transaction(async (tx) => {
        await setEventCursor(tx, 'slow', events[1]?.id ?? 0)
        await setEventCursor(tx, 'fast', events[3]?.id ?? 0)
        await setEventCursor(tx, 'fast', events[3]?.id ?? 0)
      })
      assert.equal(await eventCursor(db, 'fast'), events[3]?.id)
      assert.equal(await prune(10, ['blob.pulled']), 1)
      assert.equal(await prune(1), 1)
      assert.equal(await prune(10), 0)
      assert.deepEqual(
        (await eventsAfter(db, start, 10)).map(({ at }) => at),
        [3, 4, 5, 6],
      )
    })

    test('settings are set, replaced and absent', async () => {
      assert.equal(await getSetting(db, 'missing'), undefined)
      for (const value of ['one', 'two']) await db.transaction((tx) => setSetting(tx, 'key', value))
      assert.equal(await getSetting(db, 'key'), 'two')
    })
  })
}
