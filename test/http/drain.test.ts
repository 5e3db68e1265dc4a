// A stop: what is under way finishes, nothing new begins, and nobody waits longer than told.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { eventsAfter } from '#db/events.ts'
import { begin, collect, responseTo, send } from './client.ts'
import { pushBlob, randomContent } from './content.ts'
import { RawConnection } from './raw-connection.ts'
import { startServer } from './server.ts'

const MiB = 1024 * 1024

test('an upload and a download that are under way finish, and new connections are refused', async () => {
  await using server = await startServer({ onDisk: true })
  const { bytes, digest } = randomContent(2 * MiB)
  const large = randomContent(32 * MiB)
  await pushBlob(server, 'app', large)
  const agent = new Agent({ keepAlive: true })
  const upload = begin(server, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, { agent })
  const uploaded = responseTo(upload)
  upload.write(bytes.subarray(0, MiB))
  const download = begin(server, 'GET', `/v2/app/blobs/${large.digest}`, { agent })
  const downloading = responseTo(download)
  download.end()
  const response = await downloading
  const { port } = server
  let stopped = false
  const stop = server.stop().then(() => {
    stopped = true
  })
  await wait(100)
  assert.equal(stopped, false)
  const late = new RawConnection(port)
  await assert.rejects(once(late.socket, 'connect'), { code: 'ECONNREFUSED' })
  assert.ok((await collect(response)).body.equals(large.bytes))
  upload.end(bytes.subarray(MiB))
  const answer = await uploaded
  assert.equal(answer.statusCode, 201)
  answer.resume()
  const start = performance.now()
  await stop
  assert.ok(performance.now() - start < 3_000, 'it ended with the last transfer, not with the drain time')
  agent.destroy()
  await server.start()
  assert.ok((await send(server, 'GET', `/v2/app/blobs/${digest}`)).body.equals(bytes))
})

test('what does not finish is cut at the end of the drain time', async () => {
  await using server = await startServer({ env: { REGISTRY_HTTP_DRAINTIMEOUT: '400ms' } })
  const upload = begin(server, 'POST', `/v2/app/blobs/uploads/?digest=${randomContent(1).digest}`)
  upload.write('never more than this')
  await wait(50)
  const start = performance.now()
  await server.stop()
  const took = performance.now() - start
  assert.ok(took >= 350 && took < 4_000, String(took))
})

test('connections that are idle, unused or half-way through their headers do not hold a stop up', async () => {
  await using server = await startServer({
    env: { REGISTRY_HTTP_DRAINTIMEOUT: '20s', REGISTRY_HTTP_LIMITS_HEADERTIMEOUT: '1s' },
  })
  using idle = await RawConnection.open(server.port)
  idle.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
  await idle.until(/\{\}$/)
  using unused = await RawConnection.open(server.port)
  using halfway = await RawConnection.open(server.port)
  halfway.write('GET /v2/ HTTP/1.1\r\nHost:')
  await wait(50)
  const start = performance.now()
  await server.stop()
  assert.ok(performance.now() - start < 5_000)
  for (const connection of [idle, unused, halfway]) await connection.untilClosed()
})

test('a client that keeps asking on one connection is told that it ends', async () => {
  await using server = await startServer()
  const blob = randomContent(10)
  using busy = await RawConnection.open(server.port)
  busy.write(
    `POST /v2/app/blobs/uploads/?digest=${blob.digest} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n`,
  )
  await wait(50)
  const stopped = server.stop()
  busy.write(Buffer.concat([blob.bytes, Buffer.from('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')]))
  await busy.until(/HTTP\/1\.1 201 [\s\S]*HTTP\/1\.1 200 [\s\S]*Connection: close/)
  await stopped
  await busy.untilClosed()
})

test('read events of the last requests are written before the end', async () => {
  await using server = await startServer({ onDisk: true })
  const blob = randomContent(10)
  await pushBlob(server, 'app', blob)
  await send(server, 'GET', `/v2/app/blobs/${blob.digest}`)
  await server.restart()
  const kinds = (await eventsAfter(server.app.registry.db, 0, 10)).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['blob.pushed', 'blob.pulled'])
})
