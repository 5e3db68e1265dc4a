import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest } from './nearest.ts'

test('a letter left out, added, replaced or swapped is one edit, and case is none', () => {
  assert.deepEqual(
    ['adr', 'adddr', 'adtr', 'dadr', 'ADDR'].map((word) => editDistance(word, 'addr')),
    [1, 1, 1, 1, 0],
  )
})

test('the nearest word is found, and nothing is where no word is near', () => {
  const words = ['addr', 'net', 'host', 'relativeurls']
  assert.equal(nearest('adr', words), 'addr')
  assert.equal(nearest('Host', words), 'host')
  assert.equal(nearest('relativurl', words), 'relativeurls')
  assert.equal(nearest('port', words), undefined)
  assert.equal(nearest('x'.repeat(5000), words), undefined)
})

test('the distance is the same in both directions, and zero for equal words alone', () => {
  const word = fc.stringMatching(/^[a-z]{0,12}$/)
  fc.assert(
    fc.property(word, word, (a, b) => {
      assert.equal(editDistance(a, b), editDistance(b, a))
      assert.equal(editDistance(a, b) === 0, a === b)
    }),
  )
})
