// A reader of the events misses none, however the transactions that write them interleave.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Transaction } from '#db/db.ts'
import { eventHorizon, eventsAfter, insertEvent, insertEvents, type NewEvent } from '#db/events.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { openPostgres, type PostgresStore } from '#db/postgres.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'

function event(repository: string): NewEvent {
  return {
    at: 1_700_000_000_000,
    kind: 'manifest.pushed',
    repository,
    digest: 'sha256:x',
    tag: `it's \0 "quoted" \\ and \u00fc`,
    mediaType: null,
    size: 12,
    fromRepository: null,
    actor: 'ann',
    remote: null,
    userAgent: null,
    requestId: 'r1',
    durationMs: 1.5,
    method: 'PUT',
    origin: 'https://registry.example.com',
  }
}

describe('events on PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  let store: PostgresStore
  before(async () => {
    server = await startPostgres()
    store = await openPostgres({ url: await server.createDatabase() })
  })
  after(async () => {
    await store.signals.close()
    await store.db.close()
    await server.remove()
  })

  /** A transaction that has written its event and waits for leave to commit. */
  async function held(repository: string, locks: typeof NO_LOCKS | undefined) {
    const written = Promise.withResolvers<void>()
    const leave = Promise.withResolvers<void>()
    const work = async (tx: Transaction) => {
      await insertEvent(tx, event(repository))
      written.resolve()
      await leave.promise
    }
    const committed = store.db.transaction(work, { locks })
    await written.promise
    return {
      commit: async () => {
        leave.resolve()
        await committed
      },
    }
  }
  const seenAfter = async (id: number) => {
    const events = await eventsAfter(store.db, id, 1_000)
    return events.map(({ repository }) => repository)
  }

  for (const locks of [NO_LOCKS, undefined]) {
    const isolation = locks ? 'read committed' : 'serializable'
    test(`of a later transaction wait for those of an earlier one that is still open (${isolation})`, async () => {
      const start = await eventHorizon(store.db)
      const first = await held('first', locks)
      const second = await held('second', locks)
      await second.commit()
      assert.deepEqual(await seenAfter(start), [])
      assert.equal(await eventHorizon(store.db), start)
      await first.commit()
      assert.deepEqual(await seenAfter(start), ['first', 'second'])
    })
  }

  test('of a transaction that was rolled back keep nobody back', async () => {
    const start = await eventHorizon(store.db)
    const undone = store.db.transaction(async (tx) => {
      await insertEvent(tx, event('undone'))
      throw new Error('second thoughts')
    })
    await assert.rejects(undone, /second thoughts/)
    await (await held('done', NO_LOCKS)).commit()
    assert.deepEqual(await seenAfter(start), ['done'])
  })

  test('are not kept back by a transaction that only reads for long', async () => {
    const start = await eventHorizon(store.db)
    await store.db.transaction(async (tx) => {
      await sql`select pg_current_xact_id(), count(*) from events`.execute(tx.kysely)
      await (await held('meanwhile', NO_LOCKS)).commit()
      assert.deepEqual(await seenAfter(start), ['meanwhile'])
    })
  })

  test('are all seen once, in order, by a reader beside many writers', async () => {
    const start = await eventHorizon(store.db)
    const seen: { id: number; repository: string }[] = []
    let isWriting = true
    const reader = (async () => {
      for (let position = start, wasWriting = true; wasWriting; ) {
        wasWriting = isWriting
        const events = await eventsAfter(store.db, position, 1_000)
        seen.push(...events)
        position = events.at(-1)?.id ?? position
      }
    })()
    const writers = Array.from({ length: 12 }, async (_, writer) => {
      for (let number = 0; number < 40; number++) {
        const work = async (tx: Transaction) => {
          await insertEvents(tx, [event(`${writer}/${number}/a`), event(`${writer}/${number}/b`)])
          if (number % 3 === 0) await wait(number % 7)
        }
        await store.db.transaction(work, { locks: NO_LOCKS })
      }
    })
    await Promise.all(writers)
    isWriting = false
    await reader
    assert.equal(seen.length, 12 * 40 * 2)
    assert.equal(new Set(seen.map(({ repository }) => repository)).size, seen.length)
    const ids = seen.map(({ id }) => id)
    assert.deepEqual(
      ids,
      ids.toSorted((one, other) => one - other),
    )
  })
})
