import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Lru } from '#lib/lru.ts'

test('what was used least recently goes first', () => {
  const lru = new Lru<string, number>({ weightMax: 3, entryWeightMax: 3 })
  lru.set('a', 1, 1)
  lru.set('b', 2, 1)
  lru.set('c', 3, 1)
  assert.equal(lru.get('a'), 1)
  lru.set('d', 4, 1)
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => lru.get(key)),
    [1, undefined, 3, 4],
  )
})

test('a heavy entry drops as many as it takes', () => {
  const lru = new Lru<string, number>({ weightMax: 10, entryWeightMax: 10 })
  for (const key of ['a', 'b', 'c', 'd', 'e']) lru.set(key, 0, 2)
  lru.set('heavy', 1, 7)
  assert.equal(lru.size, 2)
  assert.equal(lru.weight, 9)
  assert.equal(lru.get('e'), 0)
})

test('an entry above its limit is not kept and drops nothing else', () => {
  const lru = new Lru<string, number>({ weightMax: 10, entryWeightMax: 4 })
  lru.set('a', 1, 4)
  lru.set('b', 2, 5)
  assert.equal(lru.get('a'), 1)
  assert.equal(lru.get('b'), undefined)
  assert.equal(lru.weight, 4)
})

test('a value that became too heavy does not leave the older one', () => {
  const lru = new Lru<string, string>({ weightMax: 10, entryWeightMax: 4 })
  lru.set('a', 'old', 1)
  lru.set('a', 'new', 5)
  assert.equal(lru.get('a'), undefined)
  assert.equal(lru.weight, 0)
})

test('the entry limit is never above the total', () => {
  const lru = new Lru<string, number>({ weightMax: 3, entryWeightMax: 100 })
  lru.set('a', 1, 1)
  lru.set('b', 2, 4)
  assert.equal(lru.get('a'), 1)
  assert.equal(lru.get('b'), undefined)
})

test('entries of no weight are bounded too', () => {
  const lru = new Lru<number, number>({ weightMax: 5, entryWeightMax: 5 })
  for (let key = 0; key < 100; key++) lru.set(key, key, 0)
  assert.equal(lru.size, 5)
})

test('a deleted entry is gone, and only it', () => {
  const lru = new Lru<string, number>({ weightMax: 5, entryWeightMax: 5 })
  lru.set('a', 1, 1)
  lru.set('b', 2, 2)
  assert.equal(lru.delete('a'), true)
  assert.equal(lru.delete('a'), false)
  assert.equal(lru.get('b'), 2)
  assert.equal(lru.weight, 2)
})

test('nothing stays after clear, and it goes on', () => {
  const lru = new Lru<string, number>({ weightMax: 2, entryWeightMax: 2 })
  lru.set('a', 1, 1)
  lru.set('b', 2, 1)
  lru.clear()
  assert.equal(lru.get('a'), undefined)
  assert.equal(lru.weight, 0)
  for (const key of ['c', 'd', 'e']) lru.set(key, 3, 1)
  assert.equal(lru.size, 2)
})

test('it behaves as the plain list that it replaces', () => {
  const key = fc.integer({ min: 0, max: 8 })
  const step = fc.oneof(
    fc.record({ kind: fc.constant('get' as const), key }),
    fc.record({ kind: fc.constant('set' as const), key, weight: fc.integer({ min: 1, max: 7 }) }),
    fc.record({ kind: fc.constant('delete' as const), key }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const lru = new Lru<number, number>({ weightMax: 12, entryWeightMax: 6 })
      // Oldest first.
      let model: { key: number; value: number; weight: number }[] = []
      for (const [value, each] of steps.entries()) {
        const found = model.find((entry) => entry.key === each.key)
        if (each.kind === 'get') assert.equal(lru.get(each.key), found?.value)
        else if (each.kind === 'delete') assert.equal(lru.delete(each.key), found !== undefined)
        else lru.set(each.key, value, each.weight)
        model = model.filter((entry) => entry !== found)
        if (each.kind === 'get' && found) model.push(found)
        if (each.kind === 'set' && each.weight <= 6) model.push({ key: each.key, value, weight: each.weight })
        while (model.reduce((sum, entry) => sum + entry.weight, 0) > 12) model.shift()
        assert.equal(
          lru.weight,
          model.reduce((sum, entry) => sum + entry.weight, 0),
        )
        assert.equal(lru.size, model.length)
      }
    }),
  )
})
