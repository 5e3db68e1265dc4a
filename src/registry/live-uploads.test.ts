import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { advance, digestsOf, LiveUploads, newRunningHash } from '#registry/live-uploads.ts'

/** Works until its signal says stop, and tells when it began and ended. */
function worker(log: string[], name: string) {
  return async (signal: AbortSignal) => {
    log.push(`${name} begins`)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    await wait(5)
    log.push(`${name} ends`)
    signal.throwIfAborted()
  }
}

describe('a hold', () => {
  test('is taken over by the newest, which begins only when the older has ended', async () => {
    const live = new LiveUploads(10)
    const log: string[] = []
    const first = live.hold('a', worker(log, 'first'))
    const second = live.hold('a', worker(log, 'second'))
    const third = live.hold('a', async () => {
      log.push('third works')
      return 3
    })
    await assert.rejects(first, { reason: 'UPLOAD_BUSY' })
    await assert.rejects(second, { reason: 'UPLOAD_BUSY' })
    assert.equal(await third, 3)
    assert.deepEqual(log, ['first begins', 'first ends', 'third works'])
  })

  test('of one upload does not touch another', async () => {
    const live = new LiveUploads(10)
    const log: string[] = []
    const a = live.hold('a', worker(log, 'a'))
    assert.equal(await live.hold('b', async () => 'b'), 'b')
    assert.deepEqual(log, ['a begins'])
    await live.hold('a', async () => {})
    await assert.rejects(a, { reason: 'UPLOAD_BUSY' })
  })

  test('that fails lets the next one in', async () => {
    const live = new LiveUploads(10)
    await assert.rejects(
      live.hold('a', async () => Promise.reject(new Error('disk'))),
      /disk/,
    )
    assert.equal(await live.hold('a', async () => 1), 1)
  })

  test('that finishes before it hears of a newer one has finished', async () => {
    const live = new LiveUploads(10)
    const first = live.hold('a', async () => {
      await wait(5)
      return 'done'
    })
    const second = live.hold('a', async () => 'second')
    assert.deepEqual(await Promise.all([first, second]), ['done', 'second'])
  })

  test('many at once: each is either told to go or works alone', async () => {
    const live = new LiveUploads(10)
    let inside = 0
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () =>
        live.hold('a', async (signal) => {
          inside += 1
          assert.equal(inside, 1)
          await wait(1)
          inside -= 1
          signal.throwIfAborted()
        }),
      ),
    )
    assert.equal(outcomes.at(-1)?.status, 'fulfilled')
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') assert.equal(outcome.reason.reason, 'UPLOAD_BUSY')
  })
})

describe('running hashes', () => {
  test('are kept for as many uploads as may be open, the oldest goes first', () => {
    const live = new LiveUploads(2)
    const at = (id: string) => ({ id, claims: 0 })
    for (const id of ['a', 'b', 'a', 'c']) live.keep(at(id), newRunningHash(false))
    assert.ok(live.hash(at('a')) && live.hash(at('c')))
    assert.equal(live.hash(at('b')), undefined)
    live.forget('a')
    assert.equal(live.hash(at('a')), undefined)
  })

  test('go on over our own next claim, and end with a claim of another process', () => {
    const live = new LiveUploads(2)
    const hash = newRunningHash(false)
    advance(hash, Buffer.from('abc'))
    live.keep({ id: 'a', claims: 1 }, hash)
    assert.equal(live.hash({ id: 'a', claims: 3 }), undefined)
    live.carry({ id: 'a', claims: 2, size: 3 })
    assert.equal(live.hash({ id: 'a', claims: 2 }), hash)
    live.carry({ id: 'a', claims: 3, size: 9 })
    assert.equal(live.hash({ id: 'a', claims: 3 }), undefined, 'the row knows of more')
    live.keep({ id: 'a', claims: 3 }, hash)
    live.carry({ id: 'a', claims: 5, size: 3 })
    assert.equal(live.hash({ id: 'a', claims: 5 }), undefined, 'somebody else had it between')
  })

  test('tell the digests so far and go on', () => {
    const bytes = randomBytes(1_000)
    const hash = newRunningHash(true)
    advance(hash, bytes.subarray(0, 400))
    assert.deepEqual(digestsOf(hash), {
      sha256: digestOf(bytes.subarray(0, 400)),
      sha512: digestOf(bytes.subarray(0, 400), 'sha512'),
    })
    advance(hash, bytes.subarray(400))
    assert.deepEqual(
      [hash.offset, digestsOf(hash).sha256, digestsOf(hash).sha512],
      [1_000, digestOf(bytes), digestOf(bytes, 'sha512')],
    )
    assert.equal(digestsOf(newRunningHash(false)).sha512, undefined)
  })
})
