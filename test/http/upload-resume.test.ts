// Uploads that break off: what reached us is kept, also over a restart; a newer request takes an upload over.
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { begin, collect, refusalOf, responseTo, send } from './client.ts'
import { openSession, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024

let server: TestServer
before(async () => {
  server = await startServer({ onDisk: true, env: { REGISTRY_HTTP_DRAINTIMEOUT: '200ms' } })
})
after(() => server[Symbol.asyncDispose]())

async function offsetOf(location: string): Promise<number> {
  const answer = await send(server, 'GET', location)
  assert.equal(answer.status, 204)
  const last = Number(String(answer.headers.range).split('-')[1])
  return last === 0 ? 0 : last + 1
}

/** Waits until the session has bytes that do not grow any more. */
async function settledOffset(location: string): Promise<number> {
  let before = -1
  for (let turn = 0; turn < 200; turn++) {
    const now = await offsetOf(location)
    if (now > 0 && now === before) return now
    before = now
    await wait(20)
  }
  throw new Error('no byte was kept')
}

async function finish(
  location: string,
  bytes: Buffer,
  algorithm: 'sha256' | 'sha512' = 'sha256',
): Promise<void> {
  const offset = await offsetOf(location)
  if (offset < bytes.length) {
    const rest = await send(server, 'PATCH', location, {
      body: bytes.subarray(offset),
      headers: { 'Content-Range': `${offset}-${bytes.length - 1}` },
    })
    assert.equal(rest.status, 202, rest.body.toString())
  }
  const digest = digestOf(bytes, algorithm)
  const done = await send(server, 'PUT', `${location}?digest=${digest}`)
  assert.equal(done.status, 201, done.body.toString())
  const pulled = await send(server, 'GET', `/v2/resume/blobs/${digest}`)
  assert.ok(pulled.body.equals(bytes))
}

test('a PATCH that the client breaks off keeps what came, and goes on at the offset that it is told', async () => {
  const { bytes } = randomContent(5 * MiB)
  const location = await openSession(server, 'resume')
  const patch = begin(server, 'PATCH', location)
  patch.write(bytes.subarray(0, 3 * MiB))
  while ((await offsetOf(location)) < 2 * MiB) await wait(10)
  patch.destroy()
  await settledOffset(location)
  await finish(location, bytes)
})

test('a PUT that the client breaks off keeps the session too', async () => {
  const { bytes, digest } = randomContent(3 * MiB)
  const location = await openSession(server, 'resume')
  const put = begin(server, 'PUT', `${location}?digest=${digest}`, {
    headers: { 'Content-Length': String(bytes.length) },
  })
  put.write(bytes.subarray(0, 2 * MiB))
  while ((await offsetOf(location)) < MiB) await wait(10)
  put.destroy()
  await settledOffset(location)
  await finish(location, bytes)
})

test('a body that ends before its Content-Length is no body', async () => {
  const location = await openSession(server, 'resume')
  const patch = begin(server, 'PATCH', location, { headers: { 'Content-Length': '1000' } })
  patch.write(Buffer.alloc(400))
  await wait(30)
  patch.destroy()
  assert.equal(await settledOffset(location), 400)
})

describe('of two PATCHes at once', () => {
  test('the newer takes over, the older is told so, and no byte is lost or doubled', async () => {
    const { bytes } = randomContent(4 * MiB)
    const location = await openSession(server, 'resume')
    const older = begin(server, 'PATCH', location)
    const answerToOlder = responseTo(older)
    older.write(bytes.subarray(0, 2 * MiB))
    while ((await offsetOf(location)) < MiB) await wait(10)
    const newer = begin(server, 'PATCH', location)
    const answerToNewer = responseTo(newer)
    newer.flushHeaders()
    const refused = await collect(await answerToOlder)
    assert.equal(refusalOf(refused), '409 BLOB_UPLOAD_INVALID')
    const offset = await settledOffset(location)
    newer.end(bytes.subarray(offset, 3 * MiB))
    assert.equal((await answerToNewer).statusCode, 202)
    older.destroy()
    await finish(location, bytes)
  })

  test('a PUT takes over from a stalled PATCH, and finishes', async () => {
    const { bytes, digest } = randomContent(2 * MiB)
    const location = await openSession(server, 'resume')
    const stalled = begin(server, 'PATCH', location)
    const answerToStalled = responseTo(stalled)
    stalled.write(bytes.subarray(0, MiB))
    while ((await offsetOf(location)) < MiB / 2) await wait(10)
    stalled.write(Buffer.alloc(0))
    await wait(50)
    const put = begin(server, 'PUT', `${location}?digest=${digest}`)
    const answerToPut = responseTo(put)
    put.flushHeaders()
    assert.equal((await answerToStalled).statusCode, 409)
    put.end(bytes.subarray(await settledOffset(location)))
    assert.equal((await answerToPut).statusCode, 201)
    stalled.destroy()
  })

  test('a cancel ends a PATCH that is under way, and its bytes go', async () => {
    const location = await openSession(server, 'resume')
    const patch = begin(server, 'PATCH', location)
    const answer = responseTo(patch)
    patch.write(Buffer.alloc(2 * MiB))
    while ((await offsetOf(location)) < MiB) await wait(10)
    assert.equal((await send(server, 'DELETE', location)).status, 204)
    assert.equal((await answer).statusCode, 409)
    patch.destroy()
    assert.equal(refusalOf(await send(server, 'GET', location)), '404 BLOB_UPLOAD_UNKNOWN')
    const id = location.split('/').at(-1) ?? ''
    const left = await readdir(join(server.root, 'stowage/uploads'))
    assert.ok(!left.includes(id))
  })

  test('many at once are told apart, and leave a session that can be finished', async () => {
    const { bytes } = randomContent(MiB)
    const location = await openSession(server, 'resume')
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        send(server, 'PATCH', location, {
          body: bytes,
          headers: { 'Content-Range': `0-${bytes.length - 1}` },
        }),
      ),
    )
    for (const { status } of answers) assert.ok([202, 409, 416].includes(status), String(status))
    await finish(location, bytes)
  })
})

describe('after a restart', () => {
  for (const algorithm of ['sha256', 'sha512'] as const)
    test(`a session goes on at its offset and ends in a ${algorithm}`, async () => {
      const { bytes } = randomContent(3 * MiB)
      const location = await openSession(server, 'resume', `?digest-algorithm=${algorithm}`)
      await send(server, 'PATCH', location, { body: bytes.subarray(0, MiB + 7) })
      await server.restart()
      assert.equal(await offsetOf(location), MiB + 7)
      const early = await send(server, 'PATCH', location, {
        body: bytes.subarray(0, 10),
        headers: { 'Content-Range': '0-9' },
      })
      assert.equal(early.status, 416)
      await finish(location, bytes, algorithm)
    })

  test('a session that has all its bytes only needs its PUT', async () => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const { bytes } = randomContent(100_000)
      const location = await openSession(server, 'resume')
      await send(server, 'PATCH', location, { body: bytes })
      await server.restart()
      const done = await send(server, 'PUT', `${location}?digest=${digestOf(bytes, algorithm)}`)
      assert.equal(done.status, 201)
      const pulled = await send(server, 'GET', `/v2/resume/blobs/${digestOf(bytes)}`)
      assert.ok(pulled.body.equals(bytes))
    }
  })

  test('a session that is still empty is there, and a wrong digest is still found', async () => {
    const location = await openSession(server, 'resume')
    await server.restart()
    assert.equal(await offsetOf(location), 0)
    await send(server, 'PATCH', location, { body: 'some bytes' })
    await server.restart()
    assert.equal(
      refusalOf(await send(server, 'PUT', `${location}?digest=${digestOf('others')}`)),
      '400 DIGEST_INVALID',
    )
  })

  test('an interrupted transfer is cut by the stop, kept, and continued', async () => {
    const { bytes } = randomContent(2 * MiB)
    const location = await openSession(server, 'resume')
    const patch = begin(server, 'PATCH', location)
    patch.write(bytes.subarray(0, MiB))
    while ((await offsetOf(location)) < MiB / 2) await wait(10)
    await server.stop()
    assert.equal(patch.destroyed, true)
    await server.start()
    await finish(location, bytes)
  })
})
