import assert from 'node:assert/strict'
import { test } from 'node:test'
import { covers, mergeScopes } from '#client/scope.ts'

test('scopes of one resource become one, and what is no scope is left out', () => {
  assert.deepEqual(
    mergeScopes([
      'repository:b:push',
      'repository:a:pull repository:b:pull',
      '',
      'nonsense',
      'registry:catalog:*',
    ]),
    ['registry:catalog:*', 'repository:a:pull', 'repository:b:pull,push'],
  )
})

test('a name with a port keeps its colon', () => {
  assert.deepEqual(mergeScopes(['repository:host:5000/app:pull']), ['repository:host:5000/app:pull'])
})

test('a token covers what it was asked for and less, not more', () => {
  const held = ['repository:a:pull,push']
  assert.equal(covers(held, ['repository:a:pull']), true)
  assert.equal(covers(held, []), true)
  assert.equal(covers(held, ['repository:a:delete']), false)
  assert.equal(covers(held, ['repository:b:pull']), false)
})
