import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchesGlob } from '#lib/glob.ts'

const cases: readonly [string, string, boolean][] = [
  ['team/*', 'team/app', true],
  ['team/*', 'team/app/web', false],
  ['team/**', 'team/app/web', true],
  ['**', 'anything/at/all', true],
  ['**/web', 'team/web', true],
  ['v1.?', 'v1.2', true],
  ['v1.?', 'v1x2', false],
  ['v1.?', 'v1.', false],
  ['app', 'app', true],
  ['app', 'app2', false],
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['(a|b)+', '(a|b)+', true],
  ['(a|b)+', 'ab', false],
]

for (const [pattern, name, expected] of cases) {
  test(`${pattern} ${expected ? 'matches' : 'does not match'} ${name}`, () => {
    assert.equal(matchesGlob(pattern, name), expected)
  })
}

/** What a pattern means, said in the plainest way: it tries everything. */
function means(pattern: string, name: string): boolean {
  if (pattern === '') return name === ''
  const stars = /^\*+/.exec(pattern)?.[0].length ?? 0
  const rest = pattern.slice(Math.max(stars, 1))
  if (stars > 0) {
    for (let taken = 0; taken <= name.length; taken++) {
      if (stars === 1 && name.slice(0, taken).includes('/')) return false
      if (means(rest, name.slice(taken))) return true
    }
    return false
  }
  const [character] = name
  if (character === undefined) return false
  const isTaken = pattern[0] === '?' ? character !== '/' : character === pattern[0]
  return isTaken && means(rest, name.slice(1))
}

test('a pattern matches what trying every way finds, and nothing else', () => {
  const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '**', '?'), maxLength: 7 })
  const names = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
  fc.assert(
    fc.property(patterns, names, (pattern, name) => {
      assert.equal(matchesGlob(pattern, name), means(pattern, name))
    }),
    { numRuns: 5_000 },
  )
})

test('many wildcards against a long name take no more than a moment', () => {
  const pattern = '**a'.repeat(80)
  const start = performance.now()
  assert.equal(matchesGlob(`${pattern}b`, 'a'.repeat(255)), false)
  assert.ok(performance.now() - start < 2_000)
})
