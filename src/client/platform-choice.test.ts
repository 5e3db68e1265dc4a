import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choosePlatform, formatPlatform, parsePlatform } from '#client/platform-choice.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'

const offered = ['linux/amd64', 'linux/arm/v5', 'linux/arm/v7', 'linux/arm64', 'windows/amd64'].map(
  (text) => ({
    mediaType: OCI_MANIFEST,
    digest: digestOf(text),
    size: 1,
    platform: parsePlatform(text),
  }),
)

const cases: readonly [string, string | undefined][] = [
  ['linux/amd64', 'linux/amd64'],
  ['linux/x86_64', 'linux/amd64'],
  ['linux/arm64/v8', 'linux/arm64'],
  ['linux/aarch64', 'linux/arm64'],
  ['linux/arm', 'linux/arm/v7'],
  ['linux/arm/v7', 'linux/arm/v7'],
  // v6 runs what was made for v5, not what was made for v7.
  ['linux/arm/v6', 'linux/arm/v5'],
  ['windows/amd64', 'windows/amd64'],
  ['linux/riscv64', undefined],
]

for (const [wanted, expected] of cases) {
  test(`${wanted} is served by ${expected ?? 'none of them'}`, () => {
    const chosen = choosePlatform(offered, parsePlatform(wanted))
    assert.equal(chosen?.platform && formatPlatform(chosen.platform), expected)
  })
}

for (const text of ['', 'linux', '/amd64', 'linux/arm/v7/x']) {
  test(`${JSON.stringify(text)} is no platform`, () => {
    assert.throws(() => parsePlatform(text), { kind: 'invalid' })
  })
}
