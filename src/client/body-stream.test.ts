import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readableOf } from '#client/body-stream.ts'

const nothing = () => {}

test('a source that offers a chunk before the last one was taken is told of both, and nothing is lost', async () => {
  const chunk = () => Buffer.alloc(300 * 1024, 1)
  let resolved = 0
  const stream = readableOf(
    async (sink) => {
      // Both are offered at once: the stream is full after the first.
      const waits = [sink(chunk()), sink(chunk())]
      assert.ok(waits.every((wait) => wait !== undefined))
      for (const wait of waits) {
        await wait
        resolved += 1
      }
    },
    nothing,
    nothing,
    nothing,
  )
  let bytes = 0
  for await (const part of stream) bytes += part.length
  assert.equal(bytes, 600 * 1024)
  assert.equal(resolved, 2)
})

test('a stream that is given up rejects everything that waits', async () => {
  const outcomes: string[] = []
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const stream = readableOf(
    async (sink) => {
      const waits = [sink(Buffer.alloc(300 * 1024)), sink(Buffer.alloc(300 * 1024))]
      stream.destroy()
      for (const wait of await Promise.allSettled(waits)) outcomes.push(wait.status)
      end()
    },
    nothing,
    nothing,
    nothing,
  )
  stream.on('error', nothing)
  stream.read(0)
  await ended
  assert.deepEqual(outcomes, ['rejected', 'rejected'])
})
