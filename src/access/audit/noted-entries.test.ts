import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Noted, NotedEntries, REPEATS_MS, TOLD_APART_MAX, WAITING_MAX } from './noted-entries.ts'

function refusal(remote: string, actor: string | null = null): Noted {
  const nothing = { target: null, project: null, detail: null, userAgent: null, requestId: null }
  return { action: 'login', result: 'refused', actor, remote, ...nothing }
}

test('the first is written at once, and what repeats as one row with its number when the time is over', () => {
  let now = 1_000
  const noted = new NotedEntries(() => now)
  noted.note(refusal('203.0.113.1'))
  assert.deepEqual(noted.take(), [{ ...refusal('203.0.113.1'), at: 1_000, until: null, count: 1 }])
  for (const at of [2_000, 3_000, 4_000]) {
    now = at
    noted.note(refusal('203.0.113.1'))
  }
  assert.deepEqual(noted.take(), [])
  now = 1_000 + REPEATS_MS.refused
  assert.deepEqual(noted.take(), [{ ...refusal('203.0.113.1'), at: 2_000, until: 4_000, count: 3 }])
  noted.note(refusal('203.0.113.1'))
  assert.equal(noted.take()[0]?.count, 1)
})

test('a flood of different ones is counted as one, whoever else is told apart', () => {
  let now = 0
  const noted = new NotedEntries(() => now)
  for (let count = 0; count < 10_000; count++) noted.note(refusal(`192.0.2.${count}`))
  const first = noted.take()
  assert.equal(first.length, TOLD_APART_MAX.refused)
  now = REPEATS_MS.refused
  const [crowd, ...others] = noted.take()
  assert.equal(others.length, 0)
  assert.equal(crowd?.count, 10_000 - TOLD_APART_MAX.refused)
  assert.equal(crowd?.remote, null)
  // A login that succeeds is told all the same.
  noted.note({ ...refusal('198.51.100.1', 'ann'), result: 'done' })
  assert.equal(noted.take()[0]?.actor, 'ann')
})

test('floods that go on for an hour write a bounded number of rows', () => {
  let now = 0
  const noted = new NotedEntries(() => now)
  let rows = 0
  for (; now < 3_600_000; now += 500) {
    for (let count = 0; count < 20; count++) noted.note(refusal(`${now}.${count}`))
    rows += noted.take().length
  }
  assert.ok(rows <= 61 * (2 * TOLD_APART_MAX.refused + 1), `${rows} rows`)
})

test('the end writes what is still being counted, and what could not be written is kept within a limit', () => {
  const noted = new NotedEntries(() => 5)
  noted.note(refusal('a'))
  const taken = noted.take()
  noted.giveBack(taken)
  noted.note(refusal('a'))
  assert.deepEqual(
    noted.take(true).map(({ count }) => count),
    [1, 1],
  )
  noted.giveBack(
    Array.from({ length: WAITING_MAX + 10 }, () => ({ ...refusal('b'), at: 1, until: null, count: 1 })),
  )
  assert.equal(noted.take().length, WAITING_MAX)
})
