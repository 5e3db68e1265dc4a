import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientError } from '#client/client-error.ts'
import { backoffMs, parseRetryAfter, RETRY_DEFAULTS, Retries } from '#client/retry.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')

test('Retry-After is seconds or a date, and nothing else', () => {
  assert.equal(parseRetryAfter('120', NOW), 120_000)
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:30 GMT', NOW), 30_000)
  assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', NOW), 0)
  for (const nonsense of ['', '-5', 'soon', '1e9x', undefined])
    assert.equal(parseRetryAfter(nonsense, NOW), undefined)
})

test('the wait doubles up to a limit, with jitter over all of it', () => {
  const options = { ...RETRY_DEFAULTS, delayMinMs: 100, delayMaxMs: 1000 }
  const high = [1, 2, 3, 4, 5, 9].map((attempt) => backoffMs(attempt, options, () => 0.999_999))
  assert.deepEqual(high.map(Math.round), [100, 200, 400, 800, 1000, 1000])
  assert.equal(
    backoffMs(5, options, () => 0),
    50,
  )
})

function patient(attemptsMax: number) {
  const slept: number[] = []
  const waiting = {
    now: () => NOW,
    random: () => 0.5,
    sleep: async (ms: number) => {
      slept.push(ms)
    },
  }
  return { slept, retries: new Retries({ ...RETRY_DEFAULTS, attemptsMax }, waiting) }
}

const broken = new ClientError('unreachable', 'it broke')

test('tries end after so many without progress, and progress begins them anew', async () => {
  const { retries, slept } = patient(3)
  await retries.after(broken, undefined)
  await retries.after(broken, undefined)
  retries.progressed()
  await retries.after(broken, undefined)
  await retries.after(broken, undefined)
  await assert.rejects(retries.after(broken, undefined), broken)
  assert.equal(slept.length, 4)
})

test('what will not change by waiting is thrown at once', async () => {
  for (const error of [new ClientError('denied', 'no'), new TypeError('a fault of our own')]) {
    const { retries, slept } = patient(5)
    await assert.rejects(retries.after(error, undefined), error)
    assert.deepEqual(slept, [])
  }
})

test('a cancelled transfer is not tried again', async () => {
  const { retries } = patient(5)
  await assert.rejects(retries.after(broken, AbortSignal.abort(new Error('enough'))), /enough/)
})
