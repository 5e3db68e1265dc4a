// Bodies that are too large, refused early or never sent: the client can read the refusal, and the connection stays sane.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { begin, collect, refusalOf, responseTo, send } from './client.ts'
import { expectStatus, makeIndex, openSession, putManifest } from './content.ts'
import { RawConnection, statusIn } from './raw-connection.ts'
import { startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024
const MANIFEST_MAX = 4 * MiB

let server: TestServer
before(async () => {
  server = await startServer()
})
after(() => server[Symbol.asyncDispose]())

describe('a manifest', () => {
  const ofSize = (size: number) => {
    const empty = makeIndex([], { annotations: { padding: '' } }).bytes.length
    return makeIndex([], { annotations: { padding: 'x'.repeat(size - empty) } })
  }

  test('of exactly 4 MiB is taken, and comes back whole', async () => {
    const index = ofSize(MANIFEST_MAX)
    assert.equal(index.bytes.length, MANIFEST_MAX)
    expectStatus(await putManifest(server, 'large', 'a', index.bytes, OCI_INDEX), 201)
    assert.ok((await send(server, 'GET', '/v2/large/manifests/a')).body.equals(index.bytes))
  })

  test('of one byte more is 413, with a length and without one', async () => {
    const { bytes } = ofSize(MANIFEST_MAX + 1)
    assert.equal(refusalOf(await putManifest(server, 'large', 'b', bytes, OCI_INDEX)), '413 MANIFEST_INVALID')
    const pieces = [bytes.subarray(0, 2 * MiB), bytes.subarray(2 * MiB)]
    const streamed = await send(server, 'PUT', '/v2/large/manifests/b', {
      headers: { 'Content-Type': OCI_INDEX },
      body: pieces,
    })
    assert.equal(refusalOf(streamed), '413 MANIFEST_INVALID')
  })

  test('that announces a gigabyte is refused at once, before a byte of it', async () => {
    const put = begin(server, 'PUT', '/v2/large/manifests/b', {
      headers: { 'Content-Length': String(1024 * MiB) },
    })
    const response = responseTo(put)
    put.flushHeaders()
    assert.equal(refusalOf(await collect(await response)), '413 MANIFEST_INVALID')
    put.destroy()
  })

  test('CVE-2017-11468: that never ends is refused at the limit, cut soon after, and costs no memory', async () => {
    const piece = Buffer.alloc(64 * 1024, ' ')
    const before = process.memoryUsage().rss
    const put = begin(server, 'PUT', '/v2/large/manifests/endless', {
      headers: { 'Content-Type': OCI_MANIFEST },
    })
    const ended = new Promise<void>((resolve) => put.once('close', resolve))
    const response = responseTo(put)
    // The cut may come between two writes, long after the answer.
    put.on('error', () => {})
    let sent = 0
    let refusal = ''
    let peak = 0
    // Who writes and never rests may be cut before he reads: then the log of the server says what he was told.
    response.then(collect).then(
      (answer) => {
        refusal = refusalOf(answer)
      },
      () => {},
    )
    while (!put.destroyed && sent < 200 * MiB) {
      if (!put.write(piece)) await Promise.race([once(put, 'drain').catch(() => {}), ended])
      sent += piece.length
      peak = Math.max(peak, process.memoryUsage().rss)
    }
    put.destroy()
    const told = server.access.lines.find(({ fields }) => fields['path'] === '/v2/large/manifests/endless')
    assert.equal(told?.fields['status'], 413)
    assert.ok(refusal === '' || refusal === '413 MANIFEST_INVALID', refusal)
    assert.ok(sent < 60 * MiB, `${sent} bytes were taken`)
    assert.ok(peak - before < 100 * MiB, `memory grew by ${peak - before}`)
  })
})

describe('a refusal that comes before the end of the body', { concurrency: true }, () => {
  const refused: readonly [what: string, method: string, path: string, status: number][] = [
    ['of an invalid name', 'PUT', '/v2/NAME/manifests/a', 400],
    ['of an unknown upload', 'PATCH', '/v2/app/blobs/uploads/nothing', 404],
    ['of a malformed digest', 'POST', '/v2/app/blobs/uploads/?digest=sha256:abc', 400],
    ['of a method', 'PUT', '/v2/_catalog', 405],
    ['of a path', 'PUT', '/nowhere', 404],
    ['of a reply that needs no body', 'GET', '/v2/', 200],
  ]
  for (const [what, method, path, status] of refused)
    test(`${what} is read by a client that sends 3 MiB first, and the connection serves the next request`, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      try {
        const answer = await send(server, method, path, { body: Buffer.alloc(3 * MiB), agent })
        assert.equal(answer.status, status)
        const next = await send(server, 'GET', '/v2/', { agent })
        assert.deepEqual([next.status, next.body.toString()], [200, '{}'])
      } finally {
        agent.destroy()
      }
    })

  test('of a chunk in the wrong place is read by a client that sends 12 MiB first', async () => {
    const location = await openSession(server, 'app')
    const answer = await send(server, 'PATCH', location, {
      body: Buffer.alloc(12 * MiB),
      headers: { 'Content-Range': `7-${12 * MiB + 6}` },
    })
    assert.equal(refusalOf(answer), '416 RANGE_INVALID')
    assert.equal((await send(server, 'GET', location)).status, 204)
  })

  test('is read by a client that never sends the rest, whose connection is then closed', async () => {
    using connection = await RawConnection.open(server.port)
    connection.write(
      'PATCH /v2/app/blobs/uploads/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome',
    )
    await connection.until(/BLOB_UPLOAD_UNKNOWN/)
    assert.equal(statusIn(connection.received), 404)
    assert.ok((await connection.untilClosed(8_000)) < 7_000)
  })
})

describe('Expect: 100-continue', () => {
  const ask = (path: string, length: number, method = 'PUT') =>
    `${method} ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`

  test('is told to go on when the body is wanted', async () => {
    const bytes = Buffer.from('content that was asked for')
    using connection = await RawConnection.open(server.port)
    connection.write(ask(`/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`, bytes.length, 'POST'))
    await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/)
    connection.write(bytes)
    await connection.until(/\r\n\r\nHTTP\/1\.1 201 [\s\S]*\r\n\r\n$/)
  })

  test('is refused without a 100 when the body is not wanted, and the connection ends', async () => {
    for (const path of ['/v2/NAME/manifests/a', '/v2/app/blobs/uploads/nothing?digest=sha256:abc']) {
      using connection = await RawConnection.open(server.port)
      connection.write(ask(path, 1_000_000))
      await connection.until(/\r\n\r\n\{"errors/)
      assert.ok([400, 404].includes(statusIn(connection.received)))
      assert.match(connection.received, /\r\nConnection: close\r\n/i)
      assert.ok((await connection.untilClosed()) < 1_000)
    }
  })

  test('a manifest that announces too much is refused without a 100', async () => {
    using connection = await RawConnection.open(server.port)
    connection.write(ask('/v2/app/manifests/a', 100_000_000))
    await connection.until(/MANIFEST_INVALID/)
    assert.equal(statusIn(connection.received), 413)
  })

  test('a client that sends its body without waiting is served too', async () => {
    const index = makeIndex([], { annotations: { impatient: 'yes' } })
    using connection = await RawConnection.open(server.port)
    const head = ask('/v2/app/manifests/a', index.bytes.length).replace(
      '\r\n\r\n',
      `\r\nContent-Type: ${OCI_INDEX}\r\n\r\n`,
    )
    connection.write(Buffer.concat([Buffer.from(head), index.bytes]))
    await connection.until(/HTTP\/1\.1 201 /)
  })
})

describe('one connection', () => {
  test('serves on after refusals of every kind', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      for (let round = 0; round < 3; round++) {
        for (const [method, path, status] of [
          ['GET', '/v2/nobody/tags/list', 404],
          ['HEAD', '/v2/nobody/manifests/a', 404],
          ['PUT', '/v2/NAME/manifests/a', 400],
          ['DELETE', '/v2/', 405],
          ['GET', '/v2/', 200],
        ] as const) {
          const answer = await send(server, method, path, {
            agent,
            body: method === 'PUT' ? 'body' : undefined,
          })
          assert.equal(answer.status, status)
          assert.notEqual(answer.headers.connection, 'close')
        }
      }
      assert.equal(Object.values(agent.freeSockets).flat().length, 1)
    } finally {
      agent.destroy()
    }
  })

  test('answers requests that were sent all at once in their order', async () => {
    using connection = await RawConnection.open(server.port)
    connection.write(
      ['/v2/', '/v2/nobody/tags/list', '/v2/', '/v2/NO/tags/list']
        .map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
        .join(''),
    )
    await connection.until(/(HTTP\/1\.1 [\s\S]*){4}NAME_INVALID/)
    assert.deepEqual(
      [...connection.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]),
      ['200', '404', '200', '400'],
    )
  })

  test('a HEAD, a 204 and a 304 have no body that the next reply could be mistaken for', async () => {
    const index = makeIndex([], { annotations: { for: 'head' } })
    expectStatus(await putManifest(server, 'app', 'head', index.bytes, OCI_INDEX), 201)
    const location = await openSession(server, 'app')
    using connection = await RawConnection.open(server.port)
    const request = (method: string, path: string, more = '') =>
      `${method} ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
    connection.write(
      request('HEAD', '/v2/app/manifests/head') +
        request('GET', '/v2/app/manifests/head', `If-None-Match: "${index.digest}"\r\n`) +
        request('GET', location) +
        request('DELETE', location) +
        request('HEAD', '/v2/app/manifests/nothing') +
        request('GET', '/v2/', 'Connection: close\r\n'),
    )
    await connection.untilClosed()
    const replies = connection.received.split(/(?=HTTP\/1\.1 )/)
    assert.deepEqual(replies.map(statusIn), [200, 304, 204, 204, 404, 200])
    for (const reply of replies.slice(0, 5)) assert.equal(reply.split('\r\n\r\n')[1], '')
    assert.doesNotMatch(replies.slice(1, 4).join(''), /content-length|transfer-encoding/i)
  })

  test('a request with two lengths is refused, and nothing behind it is taken for a request', async () => {
    for (const lengths of [
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Content-Length: 5\r\nContent-Length: 6',
    ]) {
      using connection = await RawConnection.open(server.port)
      connection.write(
        `PUT /v2/app/manifests/a HTTP/1.1\r\nHost: a\r\n${lengths}\r\n\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n`,
      )
      await connection.untilClosed()
      assert.equal(statusIn(connection.received), 400)
      assert.equal(connection.received.match(/HTTP\/1\.1/g)?.length, 1)
    }
  })

  test('a client of HTTP/1.0 is served, and its connection ends', async () => {
    using connection = await RawConnection.open(server.port)
    connection.write('GET /v2/ HTTP/1.0\r\n\r\n')
    await connection.untilClosed()
    assert.equal(statusIn(connection.received), 200)
    assert.ok(connection.received.endsWith('{}'))
  })

  test('junk behind a request does not get into the reply that is under way', async () => {
    const bytes = Buffer.alloc(32 * MiB, 'b')
    const posted = await send(server, 'POST', `/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`, {
      body: bytes,
    })
    expectStatus(posted, 201)
    using connection = await RawConnection.open(server.port)
    connection.write(`GET /v2/app/blobs/${digestOf(bytes)} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await connection.until(/\r\n\r\nb/)
    connection.write('\u0000\u0001 no request\r\n\r\n')
    await connection.untilClosed()
    assert.equal(connection.received.match(/HTTP\/1\.1/g)?.length, 1)
  })
})

test('a client that goes away while it is answered leaves nothing behind', async () => {
  const bytes = Buffer.alloc(8 * MiB, 'c')
  const posted = await send(server, 'POST', `/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`, {
    body: bytes,
  })
  expectStatus(posted, 201)
  for (let round = 0; round < 5; round++) {
    const get = begin(server, 'GET', `/v2/app/blobs/${digestOf(bytes)}`)
    const response = responseTo(get)
    get.end()
    await once(await response, 'data')
    get.destroy()
  }
  await wait(50)
  assert.equal((await send(server, 'GET', '/v2/')).status, 200)
  assert.deepEqual(server.log.of('error'), [])
})
