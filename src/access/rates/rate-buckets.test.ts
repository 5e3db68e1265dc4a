import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BUCKETS_MAX, RateBuckets } from './rate-buckets.ts'

const HOURLY = { amount: 10, windowMs: 3_600_000 }
const EACH_MS = 360_000

function bucketsAt(start = 0) {
  const clock = { now: start }
  return { clock, buckets: new RateBuckets(() => clock.now) }
}

test('all of a rate can be used at once, and comes back one by one', () => {
  const { clock, buckets } = bucketsAt()
  assert.deepEqual(buckets.remainder('ann', HOURLY), { remaining: 10, waitMs: 0 })
  for (let left = 9; left >= 0; left--) {
    buckets.use('ann', HOURLY, 1)
    assert.equal(buckets.remainder('ann', HOURLY).remaining, left)
  }
  assert.deepEqual(buckets.remainder('ann', HOURLY), { remaining: 0, waitMs: EACH_MS })
  assert.equal(buckets.remainder('bob', HOURLY).remaining, 10)
  clock.now += EACH_MS - 1
  assert.deepEqual(buckets.remainder('ann', HOURLY), { remaining: 0, waitMs: 1 })
  clock.now += 1
  assert.deepEqual(buckets.remainder('ann', HOURLY), { remaining: 1, waitMs: 0 })
  clock.now += 100 * HOURLY.windowMs
  assert.equal(buckets.remainder('ann', HOURLY).remaining, 10)
})

test('what is larger than all that is left is paid for later, and what did not come is given back', () => {
  const { clock, buckets } = bucketsAt()
  buckets.use('ann', HOURLY, 25)
  assert.deepEqual(buckets.remainder('ann', HOURLY), { remaining: 0, waitMs: 16 * EACH_MS })
  buckets.use('ann', HOURLY, -20)
  assert.equal(buckets.remainder('ann', HOURLY).remaining, 5)
  buckets.use('ann', HOURLY, -20)
  clock.now += 1
  assert.equal(buckets.remainder('ann', HOURLY).remaining, 10)
})

test('whenever somebody asks, no more is let through in any time than the rate and what came back in it', () => {
  const rate = { amount: 7, windowMs: 1_000 }
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 100 }), (pauses) => {
      const { clock, buckets } = bucketsAt(5)
      const times: number[] = []
      for (const pause of pauses) {
        clock.now += pause
        const { remaining, waitMs } = buckets.remainder('ann', rate)
        assert.equal(remaining > 0, waitMs === 0)
        if (waitMs > 0) continue
        buckets.use('ann', rate, 1)
        times.push(clock.now)
      }
      for (const [from, start] of times.entries()) {
        for (let to = from; to < times.length; to++) {
          const lasted = (times[to] ?? 0) - start
          assert.ok(to - from + 1 <= rate.amount * (1 + lasted / rate.windowMs) + 1e-9)
        }
      }
    }),
  )
})

test('what was used is told once, also after it could not be', () => {
  const { buckets } = bucketsAt()
  buckets.use('ann', HOURLY, 2)
  buckets.use('bob', HOURLY, 1)
  buckets.use('ann', HOURLY, 1)
  const first = buckets.takeUntold(1)
  assert.deepEqual(first, [{ key: 'ann', costMs: 3 * EACH_MS }])
  buckets.use('ann', HOURLY, 1)
  buckets.putBack(first)
  assert.deepEqual(buckets.takeUntold(10), [
    { key: 'bob', costMs: EACH_MS },
    { key: 'ann', costMs: 4 * EACH_MS },
  ])
  assert.equal(buckets.untold, 0)
})

test('what others told replaces what was believed, and what they do not know yet is added', () => {
  const { buckets } = bucketsAt(50)
  buckets.use('ann', HOURLY, 1)
  buckets.takeUntold(1)
  buckets.use('ann', HOURLY, 1)
  buckets.learn('ann', 4 * EACH_MS)
  assert.equal(buckets.remainder('ann', HOURLY).remaining, 5)
  buckets.learn('nobody', 4 * EACH_MS)
  assert.equal(buckets.remainder('nobody', HOURLY).remaining, 10)
})

test('memory has an end: of very many clients those used longest ago are forgotten', () => {
  const { buckets } = bucketsAt()
  for (let client = 0; client <= BUCKETS_MAX; client++) buckets.use(`client ${client}`, HOURLY, 10)
  assert.equal(buckets.remainder('client 0', HOURLY).remaining, 10)
  assert.equal(buckets.remainder(`client ${BUCKETS_MAX}`, HOURLY).remaining, 0)
  assert.equal(buckets.untold, BUCKETS_MAX)
})
