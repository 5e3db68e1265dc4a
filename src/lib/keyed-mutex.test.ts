import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { KeyedMutex } from '#lib/keyed-mutex.ts'

test('work of one key runs one at a time, in the order of the calls', async () => {
  const mutex = new KeyedMutex<string>()
  const log: string[] = []
  const work = (name: string, turns: number) => async () => {
    log.push(`${name} begins`)
    for (let index = 0; index < turns; index++) await turn()
    log.push(`${name} ends`)
  }
  await Promise.all([
    mutex.run('k', work('a', 3)),
    mutex.run('k', work('b', 1)),
    mutex.run('k', work('c', 0)),
  ])
  assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test('work of different keys runs side by side', async () => {
  const mutex = new KeyedMutex<string>()
  const gate = Promise.withResolvers<void>()
  const held = mutex.run('a', () => gate.promise)
  assert.equal(await mutex.run('b', async () => 'done'), 'done')
  gate.resolve()
  await held
})

test('work that is alone begins at once', () => {
  const mutex = new KeyedMutex<string>()
  let begun = false
  mutex.run('k', async () => {
    begun = true
  })
  assert.equal(begun, true)
})

test('a failure reaches its caller and does not stop the work behind it', async () => {
  const mutex = new KeyedMutex<string>()
  const failing = mutex.run('k', async () => {
    throw new Error('broken')
  })
  const next = mutex.run('k', async () => 'fine')
  await assert.rejects(failing, /broken/)
  assert.equal(await next, 'fine')
})

test('work that throws before it waits is a failure like any other', async () => {
  const mutex = new KeyedMutex<string>()
  const failing = mutex.run('k', () => {
    throw new Error('at once')
  })
  await assert.rejects(failing, /at once/)
  assert.equal(await mutex.run('k', async () => 'fine'), 'fine')
})

test('a key vanishes when it is idle, not before', async () => {
  const mutex = new KeyedMutex<number>()
  const all = Array.from({ length: 100 }, (_, index) => mutex.run(index % 10, () => turn()))
  assert.equal(mutex.size, 10)
  await all[0]
  assert.equal(mutex.size, 10)
  await Promise.all(all)
  await turn()
  assert.equal(mutex.size, 0)
})
