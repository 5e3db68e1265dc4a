import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseNetworkRange } from './network-range.ts'

const CASES: readonly (readonly [string, string | undefined])[] = [
  ['10.0.0.0/8', 'ipv4 10.0.0.0/8'],
  ['192.0.2.7', 'ipv4 192.0.2.7/32'],
  ['::1', 'ipv6 ::1/128'],
  ['fd00::/8', 'ipv6 fd00::/8'],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0/8/8', undefined],
  ['10.0.0.0/', undefined],
  ['proxy.internal', undefined],
  ['fe80::1%eth0', undefined],
]

for (const [text, expected] of CASES) {
  test(`${text} is ${expected ?? 'no range'}`, () => {
    const range = parseNetworkRange(text)
    assert.equal(range && `${range.family} ${range.address}/${range.prefixBits}`, expected)
  })
}
