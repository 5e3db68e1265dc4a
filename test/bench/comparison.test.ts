import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMet, type Measured, median, type Row, ratiosOf } from './comparison.ts'
import { pushSmall } from './scenarios/push-small.ts'

function row(ours: Measured, theirs: Measured): Row {
  return { scenario: pushSmall, perOperation: 1, ours, theirs }
}

test('the median is the middle value, whatever the order', () => {
  assert.equal(median([9, 1, 5]), 5)
  assert.equal(median([8, 2, 4, 100]), 6)
  assert.equal(median([3]), 3)
  assert.throws(() => median([]))
})

test('a row is met only when both its CPU and its rate are', () => {
  const theirs = { cpuSeconds: 0.008, rate: 100 }
  assert.deepEqual(ratiosOf(row({ cpuSeconds: 0.004, rate: 180 }, theirs)), { cpu: 0.5, rate: 1.8 })
  assert.equal(isMet(row({ cpuSeconds: 0.004, rate: 180 }, theirs)), true)
  assert.equal(isMet(row({ cpuSeconds: 0.0041, rate: 200 }, theirs)), false)
  assert.equal(isMet(row({ cpuSeconds: 0.003, rate: 179 }, theirs)), false)
})
