import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { together } from './together.ts'

test('values come in the order of the list', async () => {
  assert.deepEqual(await together([wait(5, 'a'), 'b', Promise.resolve(3)]), ['a', 'b', 3])
})

test('a failure is thrown when all have ended', async () => {
  let ended = false
  const slow = wait(20).then(() => {
    ended = true
  })
  await assert.rejects(together([slow, Promise.reject(new Error('first')), wait(1)]), /first/)
  assert.equal(ended, true)
})
