import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TransferWatch, type WatchLimits } from '#http/transfer-watch.ts'

const LIMITS: WatchLimits = { idleMs: 10_000, rateWindowMs: 5_000, sendIdleMs: 30_000, minRate: 100 }

/** A watch whose clock is moved by hand; it looks once a second, as the real one does. */
function watchAt(limits: Partial<WatchLimits> = {}) {
  let now = 0
  const watch = new TransferWatch({ ...LIMITS, ...limits }, () => now)
  return {
    watch,
    pass(seconds: number, each: () => void = () => {}) {
      for (let second = 0; second < seconds; second++) {
        now += 1_000
        each()
        watch.tick()
      }
    },
  }
}

function counted() {
  const cuts = { count: 0 }
  return { cuts, cut: () => cuts.count++ }
}

describe('a body that is received', () => {
  test('is cut once when no byte came for the idle time, and not before', () => {
    const { watch, pass } = watchAt({ minRate: 0 })
    const { cuts, cut } = counted()
    watch.start('receive', cut)
    pass(9)
    assert.equal(cuts.count, 0)
    pass(1)
    assert.equal(cuts.count, 1)
    pass(60)
    assert.equal(cuts.count, 1)
    assert.equal(watch.active, 0)
  })

  test('is cut when it stays below the rate over the window', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('receive', cut)
    pass(5, () => transfer.progress(99))
    assert.equal(cuts.count, 1)
  })

  test('is never cut while it keeps the rate, however long it takes', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('receive', cut)
    pass(3_600, () => transfer.progress(100))
    assert.equal(cuts.count, 0)
    transfer.end()
  })

  test('may come in bursts, as long as each window has its share', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('receive', cut)
    for (let burst = 0; burst < 20; burst++) {
      transfer.progress(2_000)
      pass(5)
    }
    assert.equal(cuts.count, 0)
    transfer.end()
  })

  test('is judged by each window anew: early haste buys no later idleness', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('receive', cut)
    transfer.progress(1_000_000)
    pass(5)
    assert.equal(cuts.count, 0)
    pass(5, () => transfer.progress(1))
    assert.equal(cuts.count, 1)
  })

  test('is not held responsible for the time in which we let it wait', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('receive', cut)
    transfer.pause()
    pass(600)
    transfer.resume()
    pass(4)
    assert.equal(cuts.count, 0)
    pass(1)
    assert.equal(cuts.count, 1)
  })
})

describe('a reply that is sent', () => {
  test('is cut only when nothing of it is taken for the longer time: a slow reader is no attack', () => {
    const { watch, pass } = watchAt()
    const { cuts, cut } = counted()
    const transfer = watch.start('send', cut)
    pass(29)
    transfer.progress(1)
    pass(29)
    assert.equal(cuts.count, 0)
    pass(1)
    assert.equal(cuts.count, 1)
  })
})

test('a transfer that ended is not looked at any more', () => {
  const { watch, pass } = watchAt()
  const { cuts, cut } = counted()
  const transfer = watch.start('receive', cut)
  assert.equal(watch.active, 1)
  transfer.end()
  assert.equal(watch.active, 0)
  pass(60)
  assert.equal(cuts.count, 0)
})

test('one that stalls takes no other with it', () => {
  const { watch, pass } = watchAt()
  const [stalled, busy] = [counted(), counted()]
  watch.start('receive', stalled.cut)
  const transfer = watch.start('receive', busy.cut)
  pass(20, () => transfer.progress(1_000))
  assert.deepEqual([stalled.cuts.count, busy.cuts.count], [1, 0])
  transfer.end()
})
