import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Db, Transaction, TransactionOptions } from '#db/db.ts'
import { claimEventCursor, eventCursor, setEventCursor } from '#db/event-cursors.ts'
import { type EventRecord, insertEvent, newestEventId } from '#db/events.ts'
import { Dispatcher, type Subscriber } from '#events/dispatch.ts'
import { READ_KINDS } from '#events/kinds.ts'
import { eventOf, recordEvent } from '#events/record.ts'
import { internalCaller } from '#identity/caller.ts'
import { silentLog } from '#telemetry/log.ts'
import { openFacts } from '../../test/processes/test-database.ts'

let db: Db
before(async () => {
  db = await openFacts()
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
  /** The first takes the lease, the second moves the cursor. */
  #transactions = 0

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
    this.#transactions += 1
    if (this.#transactions !== 2) return this.#db.transaction(work, options)
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

/** Pulls of every kind. */
async function pulls(count: number): Promise<void> {
  await db.transaction(async (tx) => {
    for (let index = 0; index < count; index++) {
      for (const kind of READ_KINDS)
        await insertEvent(tx, eventOf(kind, { repository: name }, internalCaller('test'), 1))
    }
  })
}

test('a subscriber to writes is not shown pulls, which count as seen', async () => {
  const witness = Object.assign(new Witness(), { writesOnly: true })
  const dispatcher = new Dispatcher(db, witness, silentLog())
  await dispatcher.drain()
  const before = witness.batches
  await pulls(600)
  assert.equal(await dispatcher.lag(), 0)
  await dispatcher.drain()
  assert.equal(witness.batches, before, 'no batch was made of pulls alone')
  assert.equal(await eventCursor(db, name), await newestEventId(db), 'so that they can be pruned')
  const first = await happen(2)
  await pulls(1)
  const second = await happen(600)
  assert.equal(await dispatcher.lag(), 602)
  await dispatcher.drain()
  assert.deepEqual(witness.seen, [...first, ...second])
  assert.equal(dispatcher.position, await newestEventId(db))
})

test('a long backlog lets others have their turn between the batches', async () => {
  await happen(2_500)
  const handled: number[] = []
  let turns = 0
  const subscriber: Subscriber = {
    name,
    handle: async () => void handled.push(turns),
  }
  const turn = setInterval(() => {
    turns += 1
  }, 0)
  await new Dispatcher(db, subscriber, silentLog()).drain()
  clearInterval(turn)
  assert.ok(new Set(handled).size > 1, `turns at the batches: ${handled}`)
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

/** As another process would, whose number is that of a program that runs. */
const takenFor = (ms: number) =>
  db.transaction((tx) =>
    claimEventCursor(tx, { name, holder: `${hostname()}/${process.ppid}/x`, forMs: ms, isGone: () => false }),
  )

describe('while another process holds the lease', () => {
  test('nothing is delivered here; a drain waits, and goes on when the lease has run out', async () => {
    await takenFor(300)
    const [witness, closing] = [new Witness(), new Witness()]
    const dispatcher = new Dispatcher(db, witness, silentLog())
    const tags = await happen(3)
    dispatcher.wake()
    await new Dispatcher(db, closing, silentLog()).close()
    await wait(100)
    assert.deepEqual([witness.seen, closing.seen], [[], []])
    await dispatcher.drain()
    assert.deepEqual(witness.seen, tags)
    await dispatcher.close()
    assert.notEqual(await takenFor(1), undefined, 'a close gives the lease back')
  })

  test('a drain ends when the other one has delivered', async () => {
    await takenFor(30_000)
    await happen(3)
    const newest = await newestEventId(db)
    const witness = new Witness()
    const drained = new Dispatcher(db, witness, silentLog()).drain()
    await wait(50)
    await db.transaction((tx) => setEventCursor(tx, name, newest))
    await drained
    assert.deepEqual(witness.seen, [])
  })

  test('a cursor that is set meanwhile is where the delivery goes on', async () => {
    const tags = await happen(3)
    const witness = new Witness()
    const dispatcher = new Dispatcher(db, witness, silentLog())
    await dispatcher.drain()
    await db.transaction((tx) => setEventCursor(tx, name, 0))
    await happen(1)
    await dispatcher.drain()
    assert.deepEqual(witness.seen.slice(0, 3), tags)
    assert.equal(witness.seen.filter((tag) => tag === tags[1]).length, 2)
    await dispatcher.close()
  })
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
