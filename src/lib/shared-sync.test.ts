import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { SharedSync } from '#lib/shared-sync.ts'

/** A sync that ends when it is told to, and counts how many ran, and how many at once. */
function controlledSync() {
  const ends: PromiseWithResolvers<void>[] = []
  let running = 0
  const counts = { begun: 0, atOnceMax: 0 }
  const shared = new SharedSync(async () => {
    counts.begun++
    running++
    counts.atOnceMax = Math.max(counts.atOnceMax, running)
    const end = Promise.withResolvers<void>()
    ends.push(end)
    try {
      await end.promise
    } finally {
      running--
    }
  })
  const finish = async (error?: Error) => {
    const end = ends.shift()
    assert.ok(end, 'no sync is running')
    if (error) end.reject(error)
    else end.resolve()
    await turn()
  }
  return { shared, counts, finish }
}

/** Tells how a promise stands after a turn of the loop. */
async function stateOf(promise: Promise<void>): Promise<'pending' | 'resolved' | 'rejected'> {
  let state: 'pending' | 'resolved' | 'rejected' = 'pending'
  promise.then(
    () => {
      state = 'resolved'
    },
    () => {
      state = 'rejected'
    },
  )
  await turn()
  return state
}

test('the first call begins at once', async () => {
  const { shared, counts, finish } = controlledSync()
  const first = shared.run()
  assert.equal(counts.begun, 1)
  await finish()
  await first
})

test('a call during a sync waits for the next one, since the running one may have begun too early', async () => {
  const { shared, finish } = controlledSync()
  const first = shared.run()
  const second = shared.run()
  await finish()
  assert.equal(await stateOf(first), 'resolved')
  assert.equal(await stateOf(second), 'pending')
  await finish()
  await second
})

test('all who call during a sync share one', async () => {
  const { shared, counts, finish } = controlledSync()
  const first = shared.run()
  const waiting = Array.from({ length: 100 }, () => shared.run())
  assert.equal(counts.begun, 1)
  await finish()
  await finish()
  await Promise.all([first, ...waiting])
  assert.equal(counts.begun, 2)
})

test('a sync that failed rejects all who waited for it, and nobody else', async () => {
  const { shared, finish } = controlledSync()
  const first = shared.run()
  const second = [shared.run(), shared.run()]
  await Promise.all([
    assert.rejects(first, /disk one/),
    ...second.map((each) => assert.rejects(each, /disk two/)),
    (async () => {
      await finish(new Error('disk one'))
      await finish(new Error('disk two'))
    })(),
  ])
  const third = shared.run()
  await finish()
  await third
})

test('a failed sync leaves the one behind it to succeed', async () => {
  const { shared, finish } = controlledSync()
  const first = shared.run()
  const second = shared.run()
  await Promise.all([assert.rejects(first, /disk/), finish(new Error('disk'))])
  await finish()
  await second
})

test('a sync that throws at once rejects, and the next call begins afresh', async () => {
  let calls = 0
  const shared = new SharedSync(() => {
    calls++
    if (calls === 1) throw new Error('at once')
    return Promise.resolve()
  })
  await assert.rejects(shared.run(), /at once/)
  await shared.run()
  assert.equal(calls, 2)
})

test('never do two syncs run at once, whenever the calls come', async () => {
  let running = 0
  let begun = 0
  const shared = new SharedSync(async () => {
    assert.equal(++running, 1)
    begun++
    for (let tick = begun % 5; tick > 0; tick--) await undefined
    running--
  })
  const caller = async (delay: number) => {
    for (let round = 0; round < 50; round++) {
      for (let tick = 0; tick < delay; tick++) await undefined
      const before = begun
      await shared.run()
      // The sync that covers this call began after it.
      assert.ok(begun > before)
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, delay) => caller(delay)))
  assert.equal(running, 0)
})
