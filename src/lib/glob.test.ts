import assert from 'node:assert/strict'
import { test } from 'node:test'
import { globToRegExp } from '#lib/glob.ts'

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
  ['(a|b)+', '(a|b)+', true],
  ['(a|b)+', 'ab', false],
]

for (const [pattern, name, expected] of cases) {
  test(`${pattern} ${expected ? 'matches' : 'does not match'} ${name}`, () => {
    assert.equal(globToRegExp(pattern).test(name), expected)
  })
}
