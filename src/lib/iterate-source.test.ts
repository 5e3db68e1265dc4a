import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ByteSource, sourceOf } from '#lib/byte-source.ts'
import { iterateSource } from '#lib/iterate-source.ts'

const chunk = (text: string) => new TextEncoder().encode(text)

test('the chunks come in order, and the end after them', async () => {
  const texts: string[] = []
  for await (const part of iterateSource(sourceOf(chunk('a'), chunk(''), chunk('b'), chunk('c')))) {
    texts.push(new TextDecoder().decode(part))
  }
  assert.deepEqual(texts, ['a', 'b', 'c'])
})

test('the source waits until a chunk was taken', async () => {
  let pushed = 0
  const source: ByteSource = async (sink) => {
    for (let at = 0; at < 3; at++) {
      pushed += 1
      await sink(chunk('x'))
    }
  }
  for await (const _ of iterateSource(source)) {
    const before = pushed
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(pushed, before)
  }
  assert.equal(pushed, 3)
})

test('a source that pushes before it is told to go on loses nothing', async () => {
  const source: ByteSource = async (sink) => {
    await Promise.all(['a', 'b', 'c'].map((text) => sink(chunk(text))))
    await sink(chunk('d'))
  }
  let text = ''
  for await (const part of iterateSource(source)) text += new TextDecoder().decode(part)
  assert.equal(text, 'abcd')
})

test('an error of the source comes behind its last chunk', async () => {
  const source: ByteSource = async (sink) => {
    await sink(chunk('a'))
    throw new Error('cut')
  }
  const seen: number[] = []
  await assert.rejects(async () => {
    for await (const part of iterateSource(source)) seen.push(part.length)
  }, /cut/)
  assert.deepEqual(seen, [1])
})

test('a reader that stops early ends the source before it goes on', async () => {
  let ended = false
  const source: ByteSource = async (sink) => {
    try {
      for (;;) await sink(chunk('x'))
    } finally {
      ended = true
    }
  }
  for await (const _ of iterateSource(source)) break
  assert.equal(ended, true)
})
