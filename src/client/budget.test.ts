import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Budget } from '#client/budget.ts'

test('never more transfers nor bytes than allowed, and all of them in the end', async () => {
  const budget = new Budget({ transfersMax: 3, bytesInFlightMax: 100 })
  let transfers = 0
  let bytes = 0
  let most = 0
  let mostBytes = 0
  const sizes = [60, 60, 10, 10, 10, 10, 500, 1]
  await Promise.all(
    sizes.map((size) =>
      budget.run(size, undefined, async () => {
        transfers += 1
        bytes += Math.min(size, 100)
        most = Math.max(most, transfers)
        mostBytes = Math.max(mostBytes, bytes)
        await turn()
        transfers -= 1
        bytes -= Math.min(size, 100)
      }),
    ),
  )
  assert.equal(most, 3)
  assert.equal(mostBytes, 100)
  assert.deepEqual([transfers, bytes], [0, 0])
})

test('a failure frees its share, and a cancelled wish leaves the row', async () => {
  const budget = new Budget({ transfersMax: 1, bytesInFlightMax: 100 })
  await assert.rejects(
    budget.run(1, undefined, () => Promise.reject(new Error('failed'))),
    /failed/,
  )
  const cancelling = new AbortController()
  let finish = () => {}
  const first = budget.run(1, undefined, () => new Promise<void>((resolve) => (finish = resolve)))
  const second = budget.run(1, cancelling.signal, async () => 'never')
  const third = budget.run(1, undefined, async () => 'third')
  cancelling.abort(new Error('cancelled'))
  await assert.rejects(second, /cancelled/)
  finish()
  await first
  assert.equal(await third, 'third')
})
