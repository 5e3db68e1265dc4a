import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseRange, RANGE_HEADER_CHARS_MAX, RANGES_MAX } from '#lib/http-range.ts'

type Expected = [number, number][] | 'unsatisfiable' | undefined
const cases: [header: string, size: number, expected: Expected][] = [
  ['bytes=500-1499', 2048, [[500, 1500]]],
  ['bytes=500-', 2048, [[500, 2048]]],
  ['bytes=-500', 2048, [[1548, 2048]]],
  ['bytes=-5000', 2048, [[0, 2048]]],
  ['bytes=2000-5000', 2048, [[2000, 2048]]],
  ['bytes=0-0', 2048, [[0, 1]]],
  ['bytes=2047-2047', 2048, [[2047, 2048]]],
  ['Bytes=1-2', 2048, [[1, 3]]],
  ['bytes=0-99999999999999999999999', 2048, [[0, 2048]]],
  ['bytes=500-0', 2048, 'unsatisfiable'],
  ['bytes=5000-10000', 2048, 'unsatisfiable'],
  ['bytes=2048-', 2048, 'unsatisfiable'],
  ['bytes=99999999999999999999999-', 2048, 'unsatisfiable'],
  ['bytes=-0', 2048, 'unsatisfiable'],
  ['bytes=0-', 0, undefined],
  ['bytes=-5', 0, undefined],
  ['bytes=5-9', 0, undefined],
  ['bytes=', 10, undefined],
  ['bytes=-', 10, undefined],
  ['bytes=a-b', 10, undefined],
  ['bytes=1-2-3', 10, undefined],
  ['bytes=0x1-2', 10, undefined],
  ['bytes=1-2,x', 10, undefined],
  ['bytes 1-2', 10, undefined],
  ['items=1-2', 10, undefined],
  ['', 10, undefined],
  [
    'bytes=0-1,5-6',
    10,
    [
      [0, 2],
      [5, 7],
    ],
  ],
  [
    'bytes=5-6, 0-1',
    10,
    [
      [5, 7],
      [0, 2],
    ],
  ],
  ['bytes=0-4,2-6,7-7', 10, [[0, 8]]],
  ['bytes=0-,0-,0-', 10, [[0, 10]]],
  ['bytes=0-1,,50-60,7-3', 10, [[0, 2]]],
  ['bytes=50-60,70-80', 10, 'unsatisfiable'],
  [
    `bytes=${Array(RANGES_MAX + 1)
      .fill('0-1')
      .join()}`,
    10,
    'unsatisfiable',
  ],
  [`bytes=${' '.repeat(RANGE_HEADER_CHARS_MAX)}0-1`, 10, undefined],
]

for (const [header, size, expected] of cases)
  test(`"${header.slice(0, 60)}" of ${size} bytes is ${JSON.stringify(expected)}`, () => {
    const ranges = parseRange(header, size)
    assert.deepEqual(Array.isArray(ranges) ? ranges.map(({ start, end }) => [start, end]) : ranges, expected)
  })

test('whatever is asked for, the ranges lie within the size, are not empty and do not overlap', () => {
  const number = fc.oneof(fc.nat(300), fc.bigInt(0n, 10n ** 30n))
  const spec = fc.oneof(
    fc.tuple(number, number).map(([a, b]) => `${a}-${b}`),
    number.map((a) => `${a}-`),
    number.map((a) => `-${a}`),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 20 }), fc.nat(300), (specs, size) => {
      const ranges = parseRange(`bytes=${specs.join()}`, size)
      if (!Array.isArray(ranges)) return
      assert.ok(ranges.length > 0)
      const touched = new Set<number>()
      for (const { start, end } of ranges) {
        assert.ok(0 <= start && start < end && end <= size)
        for (let at = start; at < end; at++) {
          assert.ok(!touched.has(at))
          touched.add(at)
        }
      }
    }),
  )
})

test('a single range takes exactly the bytes that it names', () => {
  fc.assert(
    fc.property(fc.nat(99), fc.nat(99), fc.integer({ min: 100, max: 1000 }), (a, b, size) => {
      const [first, last] = a < b ? [a, b] : [b, a]
      assert.deepEqual(parseRange(`bytes=${first}-${last}`, size), [{ start: first, end: last + 1 }])
    }),
  )
})
