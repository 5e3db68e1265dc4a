// The parsers at the door: digest, repository name, tag, reference.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { algorithmOf, digestFrom, digestOf, encodedOf, parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { formatReference, parseReference, parseRepositoryName, parseTag } from '#oci/reference.ts'

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`))
const component = fc.stringMatching(/^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}$/)
const name = fc.array(component, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'))
const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/)

function refused(run: () => unknown, reason: string): void {
  assert.throws(run, (error) => error instanceof OciError && error.reason === reason)
}

test('a canonical digest parses to itself, and falls into the parts that make it', () => {
  fc.assert(
    fc.property(fc.oneof(hex(64), hex(128)), (encoded) => {
      const algorithm = encoded.length === 64 ? 'sha256' : 'sha512'
      const digest = parseDigest(`${algorithm}:${encoded}`)
      assert.equal(algorithmOf(digest), algorithm)
      assert.equal(encodedOf(digest), encoded)
      assert.equal(digestFrom(algorithm, encoded), digest)
    }),
  )
})

test('the digest of any bytes parses', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom('sha256' as const, 'sha512' as const),
      (bytes, algorithm) => {
        assert.equal(parseDigest(digestOf(bytes, algorithm)), digestOf(bytes, algorithm))
      },
    ),
  )
})

test('CVE-2024-3727: no other text is a digest, so none reaches a path', () => {
  const good = `sha256:${'a'.repeat(64)}`
  const bad = [
    'sha256:baddigeststring',
    'sha256:../../../etc/passwd',
    `sha256:${'A'.repeat(64)}`,
    `SHA256:${'a'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha512:${'a'.repeat(64)}`,
    `sha384:${'a'.repeat(96)}`,
    `${good}\n`,
    ` ${good}`,
    `${good}\0`,
    `${good}/..`,
    '',
    ':',
  ]
  for (const text of bad) refused(() => parseDigest(text), 'DIGEST_MALFORMED')
  fc.assert(
    fc.property(fc.string(), (text) => {
      refused(() => parseDigest(text), 'DIGEST_MALFORMED')
      refused(() => parseDigest(`sha256:${text}`), 'DIGEST_MALFORMED')
    }),
  )
})

test('a name made of well-formed components parses to itself', () => {
  fc.assert(fc.property(name, (text) => assert.equal(parseRepositoryName(text), text)))
})

test('no name that parses can leave its folder or meet a folder of ours', () => {
  const pieces = fc.constantFrom(
    '.',
    '..',
    '_',
    '__',
    '-',
    '/',
    '//',
    '%2e',
    '\\',
    '\0',
    'a',
    'B',
    '_manifests',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 8 }), (parts) => {
      const text = parts.join('')
      try {
        parseRepositoryName(text)
      } catch (error) {
        assert.ok(error instanceof OciError && error.reason === 'NAME_INVALID')
        return
      }
      for (const part of text.split('/')) assert.match(part, /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/)
      assert.ok(!text.includes('..'))
    }),
  )
})

test('a name ends at 255 characters, a tag at 128', () => {
  assert.equal(parseRepositoryName('a'.repeat(255)).length, 255)
  refused(() => parseRepositoryName('a'.repeat(256)), 'NAME_INVALID')
  assert.equal(parseTag('a'.repeat(128)).length, 128)
  refused(() => parseTag('a'.repeat(129)), 'TAG_INVALID')
})

test('a name of a thousand odd pieces is refused at once', () => {
  for (const text of [`${'a-'.repeat(120)}!`, `${'a__'.repeat(80)}/`, `${'-'.repeat(250)}a`, 'a'.repeat(1e6)])
    refused(() => parseRepositoryName(text), 'NAME_INVALID')
})

test('a reference is a digest where it holds a colon and a tag elsewhere, and is written as it was read', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        tag,
        hex(64).map((encoded) => `sha256:${encoded}`),
      ),
      (text) => {
        const reference = parseReference(text)
        assert.equal(formatReference(reference), text)
        assert.equal(reference.digest !== undefined, text.includes(':'))
      },
    ),
  )
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) =>
      refused(() => parseReference(`${a}:${b}`), 'DIGEST_MALFORMED'),
    ),
  )
  for (const text of ['', '.a', '-a', 'a b', 'a/b', '../a', 'a\n', 'ä'])
    refused(() => parseReference(text), 'TAG_INVALID')
})
