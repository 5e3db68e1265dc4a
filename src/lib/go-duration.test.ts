import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatGoDuration, parseGoDuration } from './go-duration.ts'

const CASES: readonly (readonly [string, number | undefined])[] = [
  ['300ms', 300],
  ['168h', 604_800_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1500],
  ['.5s', 500],
  ['-2m', -120_000],
  ['1m1ms1us', 60_001.001],
  ['100µs', 0.1],
  ['0', 0],
  ['1000000000', 1000],
  ['5', 0.000005],
  ['', undefined],
  ['5 minutes', undefined],
  ['1d', undefined],
  ['h', undefined],
  ['1.2.3s', undefined],
  ['1e3s', undefined],
  ['99999999h', undefined],
]

for (const [text, ms] of CASES) {
  test(`${JSON.stringify(text)} is ${ms === undefined ? 'no duration' : `${ms} ms`}`, () => {
    assert.equal(parseGoDuration(text), ms)
  })
}

test('a duration is written in its shortest form', () => {
  assert.deepEqual([604_800_000, 5_400_000, 1500, 0, -75_000, 0.3].map(formatGoDuration), [
    '168h',
    '1h30m',
    '1s500ms',
    '0s',
    '-1m15s',
    '300us',
  ])
})

test('whole milliseconds survive being written and read, up to the 292 years that Go can hold', () => {
  fc.assert(
    fc.property(fc.integer({ min: -9_223_372_036_000, max: 9_223_372_036_000 }), (ms) => {
      assert.equal(parseGoDuration(formatGoDuration(ms)), ms)
    }),
  )
})

test('any text is a duration or undefined, never an exception', () => {
  fc.assert(fc.property(fc.string(), (text) => typeof parseGoDuration(text) !== 'string'))
})
