import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goRegExp } from './go-regexp.ts'

test('a pattern that both languages read alike is taken over, leading flags included', () => {
  assert.ok(goRegExp('^https?://([^/]+\\.)*example\\.com/')?.test('https://cdn.example.com/layer'))
  assert.ok(goRegExp('(?i)^HTTPS://EXAMPLE')?.test('https://example.com'))
  assert.ok(goRegExp('(?i)^HTTPS://EXAMPLE')?.test('http://example.com') === false)
})

for (const pattern of ['[[:alpha:]]+', '\\Ahttps', 'x\\z', '(?P<host>a)', '(', 'a'.repeat(5000)]) {
  test(`${pattern.slice(0, 20)} is refused rather than read as something else`, () => {
    assert.equal(goRegExp(pattern), undefined)
  })
}
