// Clients that are slow on purpose or by fate: cut when they stall, left alone while they move, never in the way of others.
import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { setInterval as every, setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { send } from './client.ts'
import { makeImage, openSession, pushImage, randomContent } from './content.ts'
import { RawConnection, statusIn } from './raw-connection.ts'
import { startServer } from './server.ts'

const IMPATIENT = {
  REGISTRY_HTTP_LIMITS_IDLETIMEOUT: '1s',
  REGISTRY_HTTP_LIMITS_MINRATE: '100',
  REGISTRY_HTTP_LIMITS_MINRATEWINDOW: '1s',
}

describe('slowness (zot #3982)', { concurrency: true }, () => {
  describe('of headers', { concurrency: true }, () => {
    test('headers that never end are cut, however steadily they trickle', async () => {
      await using server = await startServer({ env: { REGISTRY_HTTP_LIMITS_HEADERTIMEOUT: '500ms' } })
      using connection = await RawConnection.open(server.port)
      connection.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n')
      const start = performance.now()
      for await (const _ of every(50)) {
        if (connection.closed || performance.now() - start > 8_000) break
        connection.write('X: y\r\n')
      }
      assert.ok(connection.closed)
      assert.ok([0, 408].includes(statusIn(connection.received)))
    })

    test('headers that never begin are cut', async () => {
      await using server = await startServer({ env: { REGISTRY_HTTP_LIMITS_HEADERTIMEOUT: '500ms' } })
      using connection = await RawConnection.open(server.port)
      assert.ok((await connection.untilClosed()) < 5_000)
    })

    test('a connection that is not used again is closed after the keep-alive time', async () => {
      await using server = await startServer({ env: { REGISTRY_HTTP_LIMITS_KEEPALIVETIMEOUT: '200ms' } })
      using connection = await RawConnection.open(server.port)
      connection.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
      await connection.until(/\{\}$/)
      assert.ok((await connection.untilClosed()) < 5_000)
    })
  })

  describe('of a body', { concurrency: true }, () => {
    test('a body without progress is cut with 408, keeps what came, and is continued', async () => {
      await using server = await startServer({ onDisk: true, env: IMPATIENT })
      const { bytes, digest } = randomContent(1_000)
      const location = await openSession(server, 'slow')
      using connection = await RawConnection.open(server.port)
      connection.write(`PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n`)
      connection.write(bytes.subarray(0, 400))
      await connection.until(/SIZE_INVALID/, 8_000)
      assert.equal(statusIn(connection.received), 408)
      const status = await send(server, 'GET', location)
      assert.equal(status.headers.range, '0-399')
      const put = await send(server, 'PUT', `${location}?digest=${digest}`, {
        body: bytes.subarray(400),
        headers: { 'Content-Range': '400-999' },
      })
      assert.equal(put.status, 201)
    })

    test('a body that trickles below the minimum rate is cut', async () => {
      await using server = await startServer({ env: IMPATIENT })
      const location = await openSession(server, 'slow')
      using connection = await RawConnection.open(server.port)
      connection.write(`PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n`)
      const start = performance.now()
      for await (const _ of every(100)) {
        if (statusIn(connection.received) !== 0 || performance.now() - start > 8_000) break
        connection.write('x')
      }
      assert.equal(statusIn(connection.received), 408)
    })

    test('a body that is slow but steady, above the rate, is not cut', async () => {
      await using server = await startServer({
        env: { ...IMPATIENT, REGISTRY_HTTP_LIMITS_IDLETIMEOUT: '3s' },
      })
      const bytes = Buffer.alloc(1_200, 's')
      using connection = await RawConnection.open(server.port)
      connection.write(
        `POST /v2/slow/blobs/uploads/?digest=${digestOf(bytes)} HTTP/1.1\r\nHost: a\r\nContent-Length: 1200\r\n\r\n`,
      )
      for (let sent = 0; sent < bytes.length; sent += 50) {
        assert.equal(connection.received, '')
        connection.write(bytes.subarray(sent, sent + 50))
        await wait(120)
      }
      await connection.until(/^HTTP\/1\.1 201 /)
    })

    test('the body of a manifest that stalls is cut too', async () => {
      await using server = await startServer({ env: IMPATIENT })
      using connection = await RawConnection.open(server.port)
      connection.write('PUT /v2/slow/manifests/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{')
      await connection.until(/^HTTP\/1\.1 408 /, 8_000)
    })
  })
})

test('200 slow connections do not hinder a fast client', async () => {
  await using server = await startServer({ onDisk: true })
  const image = makeImage([randomContent(50_000)])
  await pushImage(server, 'fast', 'v1', image)
  const slow: RawConnection[] = []
  try {
    for (let number = 0; number < 200; number++) {
      const connection = await RawConnection.open(server.port)
      slow.push(connection)
      const location = number % 4 === 0 ? await openSession(server, 'slow') : ''
      const beginnings = [
        `PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome`,
        'PUT /v2/slow/manifests/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n',
        'GET /v2/ HTTP/1.1\r\nHost:',
        '',
      ]
      connection.write(beginnings[number % 4] ?? '')
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 4 })
    const start = performance.now()
    const requests = Array.from({ length: 400 }, async (_, number) => {
      const path = number % 2 === 0 ? '/v2/fast/manifests/v1' : `/v2/fast/blobs/${image.layers[0]?.digest}`
      assert.equal((await send(server, 'GET', path, { agent })).status, 200)
    })
    await Promise.all(requests)
    assert.ok(performance.now() - start < 15_000)
    agent.destroy()
    assert.ok(slow.filter(({ closed }) => closed).length === 0, 'all of them were still there')
  } finally {
    for (const connection of slow) connection[Symbol.dispose]()
  }
})

test('more connections than the limit are not taken, and those that are stay well', async () => {
  await using server = await startServer({ env: { REGISTRY_HTTP_LIMITS_MAXCONNECTIONS: '5' } })
  const held = await Promise.all(Array.from({ length: 5 }, () => RawConnection.open(server.port)))
  using late = await RawConnection.open(server.port)
  await late.untilClosed()
  for (const connection of held) connection.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
  for (const connection of held) {
    await connection.until(/^HTTP\/1\.1 200 /)
    connection[Symbol.dispose]()
  }
})
