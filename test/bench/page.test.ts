import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replacePart } from './page.ts'

const PAGE = 'a\n<!-- bench:memory begin -->old<!-- bench:memory end -->\nwhat was learned\n'

test('only what stands between the markers of a part is replaced', () => {
  assert.equal(
    replacePart(PAGE, 'memory', 'new'),
    'a\n<!-- bench:memory begin -->new<!-- bench:memory end -->\nwhat was learned\n',
  )
})

test('a page without the markers is left alone', () => {
  assert.throws(() => replacePart(PAGE, 'large', 'new'), /no <!-- bench:large begin -->/)
})
