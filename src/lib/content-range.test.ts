import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseContentRange } from '#lib/content-range.ts'

test('every form that clients send names the same bytes', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat(), (start, more, rest) => {
      const last = start + more
      const range = { start, end: last + 1 }
      const total = last + 1 + rest
      assert.deepEqual(parseContentRange(`${start}-${last}`), range)
      assert.deepEqual(parseContentRange(` bytes=${start}-${last} `), range)
      assert.deepEqual(parseContentRange(`Bytes ${start}-${last}/*`), range)
      assert.deepEqual(parseContentRange(`bytes ${start}-${last}/${total}`), { ...range, total })
    }),
  )
})

for (const header of [
  '',
  '-',
  '5',
  '5-',
  '-5',
  '5-4',
  'bytes */5',
  'bytes 0-5/5',
  'bytes 0-5/',
  'items 0-5/6',
  '0-5,6-7',
  '+1-2',
  '1e3-2e3',
  '0-9007199254740991',
  '0-99999999999999999999',
  'bytes 0-5/99999999999999999999',
  '0 - 5',
])
  test(`"${header}" is no content range`, () => {
    assert.equal(parseContentRange(header), undefined)
  })

test('no text makes it throw or yield a range that cannot be', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[bytes =]{0,6}[0-9]{0,17}-[0-9]{0,17}$/)),
      (text) => {
        const range = parseContentRange(text)
        assert.ok(range === undefined || (Number.isSafeInteger(range.end) && range.start < range.end))
      },
    ),
  )
})
