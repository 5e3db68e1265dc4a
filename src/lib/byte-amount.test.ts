import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseByteAmount, showByteAmount, writeByteAmount } from '#lib/byte-amount.ts'

const amounts: readonly [string, number | undefined][] = [
  ['0', 0],
  ['4096', 4_096],
  ['512B', 512],
  ['10GiB', 10 * 1_024 ** 3],
  ['10 GiB', 10 * 1_024 ** 3],
  ['10Gi', 10 * 1_024 ** 3],
  ['10g', 10 * 1_000 ** 3],
  ['1.5TB', 1_500_000_000_000],
  ['500mb', 500_000_000],
  ['', undefined],
  ['-1', undefined],
  ['1e9', undefined],
  ['ten', undefined],
  ['1 XB', undefined],
  ['9999999PiB', undefined],
]

for (const [text, bytes] of amounts) {
  test(`${JSON.stringify(text)} is ${bytes === undefined ? 'no amount' : `${bytes} bytes`}`, () => {
    assert.equal(parseByteAmount(text), bytes)
  })
}

test('what is written reads back', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      assert.equal(parseByteAmount(writeByteAmount(bytes)), bytes)
    }),
  )
  assert.deepEqual([10 * 1_024 ** 3, 500_000_000, 4_097, 0].map(writeByteAmount), [
    '10GiB',
    '500MB',
    '4097B',
    '0B',
  ])
})

test('people see at most two digits behind the point', () => {
  const shown = [0, 1_023, 1_024, 1_048_576, 10_485_760_000, 1_048_575].map(showByteAmount)
  assert.deepEqual(shown, ['0 B', '1023 B', '1 KiB', '1 MiB', '9.77 GiB', '1 MiB'])
})
