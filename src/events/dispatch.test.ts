import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Db, Transaction, TransactionOptions } from '#db/db.ts'
import { type EventRecord, eventCursor } from '#db/events.ts'
import { openSqlite } from '#db/sqlite.ts'
import { Dispatcher, type Subscriber } from '#events/dispatch.ts'
import { recordEvent } from '#events/record.ts'
import { internalCaller } from '#identity/caller.ts'
import { silentLog } from '#telemetry/log.ts'

let db: Db
before(async () => {
  db = await openSqlite()
})
after(() => db.close())

let subscribers = 0
let name = ''
beforeEach(() => {
  name = `subscriber-${subscribers++}`
})

async function happen(count: number): Promise<string[]> {
  const tags = Array.from({ length: count }, (_, number) => `${name}-${number}`)
  await db.transaction(async (tx) => {
    for (const tag of tags)
      await recordEvent(tx, 'tag.deleted', { repository: name, tag }, internalCaller('test'), 1)
  })
  return tags
}

/** Keeps the tags of what it saw; works for a moment, so that overlaps would show. */
class Witness implements Subscriber {
  readonly name = name
  readonly seen: string[] = []
  atWork = 0
  failures: number
  batches = 0

  constructor(failures = 0) {
    this.failures = failures
  }

  async handle(events: readonly EventRecord[]): Promise<void> {
    this.atWork += 1
    this.batches += 1
    try {
      assert.equal(this.atWork, 1, 'one batch at a time')
      await wait(2)
      if (this.failures-- > 0) throw new Error('not now')
      this.seen.push(
        ...events.filter(({ repository }) => repository === this.name).map(({ tag }) => tag ?? ''),
      )
    } finally {
      this.atWork -= 1
    }
  }
}

/** A database that goes down before a commit: what the subscriber did is done, what we remember of it is not. */
class CrashingOnce implements Db {
  readonly engine = 'sqlite'
  readonly #db: Db
  #crashed = false

  constructor(inner: Db) {
    this.#db = inner
  }
  get kysely() {
    return this.#db.kysely
  }
  readonly all: Db['all'] = (query, parameters) => this.#db.all(query, parameters)
  readonly first: Db['first'] = (query, parameters) => this.#db.first(query, parameters)
  readonly run: Db['run'] = (query, parameters) => this.#db.run(query, parameters)
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    if (this.#crashed) return this.#db.transaction(work, options)
    this.#crashed = true
    return Promise.reject(new Error('crash'))
  }
  async close(): Promise<void> {}
}

async function until(done: () => boolean): Promise<void> {
  for (let waited = 0; !done(); waited += 5) {
    assert.ok(waited < 5_000, 'it never happened')
    await wait(5)
  }
}

test('a subscriber sees every event in order, once, and a new one goes on where it stopped', async () => {
  const first = await happen(3)
  const witness = new Witness()
  const dispatcher = new Dispatcher(db, witness, silentLog())
  await dispatcher.drain()
  assert.deepEqual(witness.seen, first)
  assert.equal(await dispatcher.lag(), 0)
  const second = await happen(2)
  assert.equal(await dispatcher.lag(), 2)
  await dispatcher.close()
  assert.deepEqual(witness.seen, [...first, ...second])
  const later = new Witness()
  await new Dispatcher(db, later, silentLog()).drain()
  assert.deepEqual(later.seen, [])
})

test('more events than a batch holds come in several, in order', async () => {
  const tags = await happen(1_100)
  const witness = new Witness()
  await new Dispatcher(db, witness, silentLog()).drain()
  assert.deepEqual(witness.seen, tags)
  assert.ok(witness.batches >= 3)
})

test('a wake delivers soon, and many wakes at once are one', async () => {
  const witness = new Witness()
  const dispatcher = new Dispatcher(db, witness, silentLog())
  await dispatcher.drain()
  const before = witness.batches
  const tags = await happen(5)
  for (let count = 0; count < 100; count++) dispatcher.wake()
  await until(() => witness.seen.length === tags.length)
  assert.equal(witness.batches, before + 1)
  await dispatcher.close()
})

test('a crash between the work and the cursor shows the batch again', async () => {
  await new Dispatcher(db, new Witness(), silentLog()).drain()
  const before = await eventCursor(db, name)
  const tags = await happen(3)
  const witness = new Witness()
  const crashing = new Dispatcher(new CrashingOnce(db), witness, silentLog())
  await assert.rejects(crashing.drain(), /crash/)
  assert.deepEqual(witness.seen, tags)
  assert.equal(await eventCursor(db, name), before)
  const restarted = new Witness()
  await new Dispatcher(db, restarted, silentLog()).drain()
  assert.deepEqual(restarted.seen, tags)
})

test('a subscriber that fails sees the same events again after a pause, and nothing is skipped', async () => {
  const witness = new Witness(1)
  const dispatcher = new Dispatcher(db, witness, silentLog())
  const tags = await happen(4)
  const start = performance.now()
  dispatcher.wake()
  await until(() => witness.seen.length === tags.length)
  assert.deepEqual(witness.seen, tags)
  assert.ok(performance.now() - start >= 900, 'it was given time to recover')
  await dispatcher.close()
})

describe('deliveries never overlap', () => {
  test('when drains, wakes and a close come together', async () => {
    const witness = new Witness()
    const dispatcher = new Dispatcher(db, witness, silentLog())
    const tags = await happen(20)
    dispatcher.wake()
    const drains = [dispatcher.drain(), dispatcher.drain()]
    await wait(45)
    const more = await happen(20)
    dispatcher.wake()
    drains.push(dispatcher.drain(), dispatcher.close())
    await Promise.all(drains)
    assert.deepEqual(witness.seen, [...tags, ...more])
  })
})

test('a failure at the close is left for the next start', async () => {
  const tags = await happen(2)
  const dispatcher = new Dispatcher(db, new Witness(1), silentLog())
  await dispatcher.close()
  const next = new Witness()
  await new Dispatcher(db, next, silentLog()).drain()
  assert.deepEqual(next.seen, tags)
})
