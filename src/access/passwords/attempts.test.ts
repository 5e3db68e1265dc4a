import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Attempts, DELAY_MS_MAX, FORGOTTEN_MS, REMEMBERED_MAX } from '#access/passwords/attempts.ts'
import { OciError } from '#oci/errors.ts'

const ALICE = ['alice', '192.0.2.1'] as const

function make() {
  const clock = { now: 1_000_000 }
  return { clock, attempts: new Attempts(() => clock.now) }
}

function waitOf(attempts: Attempts, account: string, address: string): number {
  try {
    attempts.check(account, address)
    return 0
  } catch (error) {
    assert.ok(error instanceof OciError && error.reason === 'TOO_MANY_REQUESTS')
    return Number(error.headers['Retry-After'])
  }
}

test('the first failures are free, each one after them waits longer, up to a limit', () => {
  const { clock, attempts } = make()
  const waits: number[] = []
  for (let count = 0; count < 20; count++) {
    attempts.failed(...ALICE)
    const wait = waitOf(attempts, ...ALICE)
    waits.push(wait)
    clock.now += wait * 1_000
    assert.equal(waitOf(attempts, ...ALICE), 0, 'after the wait it may be tried again')
  }
  assert.deepEqual(waits.slice(0, 8), [0, 0, 0, 0, 1, 2, 4, 8])
  assert.equal(waits.at(-1), DELAY_MS_MAX / 1_000)
})

test('the right password forgets the wrong ones of that account at that address alone', () => {
  const { attempts } = make()
  for (let count = 0; count < 6; count++) attempts.failed(...ALICE)
  for (let count = 0; count < 6; count++) attempts.failed('bob', '192.0.2.1')
  attempts.succeeded(...ALICE)
  assert.equal(waitOf(attempts, ...ALICE), 0)
  assert.ok(waitOf(attempts, 'bob', '192.0.2.1') > 0)
})

test('one address that tries many accounts waits for all of them', () => {
  const { attempts } = make()
  for (let count = 0; count < 40; count++) attempts.failed(`user${count}`, '192.0.2.1')
  assert.ok(waitOf(attempts, 'yet-another', '192.0.2.1') > 0)
  assert.equal(waitOf(attempts, 'yet-another', '192.0.2.2'), 0)
})

test('strangers from many addresses slow the owner of an account down, but never lock him out', () => {
  const { attempts } = make()
  for (let count = 0; count < 500; count++) attempts.failed('alice', `192.0.2.${count}`)
  const wait = waitOf(attempts, 'alice', '198.51.100.1')
  assert.ok(wait > 0 && wait <= 10, `${wait} s`)
})

test('failures are forgotten after a while', () => {
  const { clock, attempts } = make()
  for (let count = 0; count < 6; count++) attempts.failed(...ALICE)
  clock.now += FORGOTTEN_MS
  attempts.failed(...ALICE)
  assert.equal(waitOf(attempts, ...ALICE), 0)
})

test('who fails under endless names takes no more memory than a limit', () => {
  const { attempts } = make()
  for (let count = 0; count < REMEMBERED_MAX; count++) attempts.failed(`user${count}`, `${count}`)
  for (let count = 0; count < 6; count++) attempts.failed(...ALICE)
  assert.ok(waitOf(attempts, ...ALICE) > 0, 'the newest are the ones that are kept')
})
