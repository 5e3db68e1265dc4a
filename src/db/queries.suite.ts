// What the query files promise, on any engine.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { linkBlob } from '#db/blobs.ts'
import { contentQueries, NOW } from '#db/content-queries.suite.ts'
import type { Db } from '#db/db.ts'
import {
  eventCursor,
  eventsAfter,
  firstEventSince,
  insertEvent,
  type NewEvent,
  newestEventId,
  pruneEvents,
  setEventCursor,
  touchedSince,
} from '#db/events.ts'
import { ensureRepository, findRepository } from '#db/repositories.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import {
  countUploads,
  deleteUpload,
  findUpload,
  insertUpload,
  recordUploadProgress,
  staleUploads,
  uploadIds,
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

      test('run one after the other, in the order of the calls', async () => {
        const order: number[] = []
        await Promise.all(
          Array.from({ length: 20 }, (_, number) =>
            db.transaction(
              async (tx) => {
                const before = Number((await getSetting(tx, 'counter')) ?? 0)
                await Promise.resolve()
                await setSetting(tx, 'counter', String(before + 1))
                order.push(number)
              },
              { durable: number % 2 === 0 },
            ),
          ),
        )
        assert.equal(await getSetting(db, 'counter'), '20')
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        )
      })

      test('go on after one that failed in the engine', async () => {
        await assert.rejects(db.transaction((tx) => linkBlob(tx, { repositoryId: -1, blobId: -1, now: NOW })))
        assert.ok(await db.transaction((tx) => ensureRepository(tx, 'after-failure', NOW)))
      })
    })

    contentQueries(() => db)

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
        recordUploadProgress(tx, { id: 'u1', size: 5, digest: digestOf('x'), now: NOW + 10 }),
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
      assert.deepEqual([await countUploads(db), (await uploadIds(db)).sort()], [3, ['u1', 'u2', 'u3']])
      assert.equal(await db.transaction((tx) => deleteUpload(tx, 'u1')), true)
      assert.equal(await db.transaction((tx) => deleteUpload(tx, 'u1')), false)
      assert.equal(await findUpload(db, 'u1'), undefined)
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
      })
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
      assert.equal((await touchedSince(db, 'e', events[3]?.id ?? 0)).length, 2)
      assert.equal(await eventCursor(db, 'fast'), 0)
      await db.transaction(async (tx) => {
        await setEventCursor(tx, 'slow', events[1]?.id ?? 0)
        await setEventCursor(tx, 'fast', events[3]?.id ?? 0)
        await setEventCursor(tx, 'fast', events[3]?.id ?? 0)
      })
      assert.equal(await eventCursor(db, 'fast'), events[3]?.id)
      const prune = (limit: number, kinds = ['blob.pushed', 'blob.pulled']) =>
        db.transaction((tx) => pruneEvents(tx, { kinds, before: 100, limit }))
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
