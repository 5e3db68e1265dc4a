import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseRate, writeRate } from './rate.ts'

test('a rate is a number of things, or bytes, in a while', () => {
  for (const [text, of, amount, windowMs] of [
    ['100/6h', 'things', 100, 21_600_000],
    ['100/h', 'things', 100, 3_600_000],
    [' 5 / 1m30s ', 'things', 5, 90_000],
    ['50GB/1h', 'bytes', 50e9, 3_600_000],
    ['1KiB/s', 'bytes', 1024, 1_000],
  ] as const)
    assert.deepEqual(parseRate(text, of), { amount, windowMs }, text)
})

test('nothing, none of something, no time and two times are no rate', () => {
  for (const text of [
    '',
    '100',
    '/h',
    '0/h',
    '-1/h',
    '1.5/h',
    '100/',
    '100/0s',
    '100/500ms',
    '1/h/m',
    'x/h',
    '1/x',
  ])
    assert.equal(parseRate(text, 'things'), undefined, text)
  assert.equal(parseRate('10GB/1h', 'things'), undefined)
})

test('what is written reads back as the same, in few letters', () => {
  assert.equal(writeRate({ amount: 100, windowMs: 21_600_000 }, 'things'), '100/6h')
  assert.equal(writeRate({ amount: 50e9, windowMs: 60_000 }, 'bytes'), '50GB/1m')
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e12 }), fc.integer({ min: 1, max: 1e7 }), (amount, seconds) => {
      const rate = { amount, windowMs: seconds * 1_000 }
      for (const kind of ['things', 'bytes'] as const)
        assert.deepEqual(parseRate(writeRate(rate, kind), kind), rate)
    }),
  )
})
