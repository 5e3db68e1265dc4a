// HTTP/2 over TLS: the same registry, with streams that end, are refused and are drained one by one.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX } from '#oci/media-types.ts'
import { type KeyPair, selfSigned } from './certificates.ts'
import { makeImage, makeIndex, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024

let folder: string
let pair: KeyPair
let ca: Buffer
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-http2-'))
  pair = await selfSigned(folder, 'server')
  ca = await readFile(pair.certificate)
})
after(() => rm(folder, { recursive: true, force: true }))

const start = (env: Record<string, string> = {}) =>
  startServer({
    env: { REGISTRY_HTTP_TLS_CERTIFICATE: pair.certificate, REGISTRY_HTTP_TLS_KEY: pair.key, ...env },
  })

async function openSession(server: TestServer): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${server.port}`, { ca })
  session.on('error', () => {})
  await once(session, 'connect')
  return session
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return { status: Number(headers[':status']), headers, body: Buffer.concat(chunks) }
}

function send(
  session: ClientHttp2Session,
  method: string,
  path: string,
  { body, ...headers }: { body?: Buffer | string; [header: string]: Buffer | string | undefined } = {},
): Promise<Answer> {
  const stream = session.request(
    { ':method': method, ':path': path, ...(headers as Record<string, string>) },
    { endStream: body === undefined },
  )
  stream.on('error', () => {})
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

describe('over HTTP/2', () => {
  let server: TestServer
  let session: ClientHttp2Session
  before(async () => {
    server = await start({ REGISTRY_HTTP_RELATIVEURLS: 'false' })
    session = await openSession(server)
  })
  after(async () => {
    session.destroy()
    await server[Symbol.asyncDispose]()
  })

  test('an image is pushed and pulled, without headers that HTTP/2 forbids', async () => {
    const image = makeImage([randomContent(2 * MiB)])
    for (const content of [image.config, ...image.layers]) {
      const opened = await send(session, 'POST', '/v2/app/blobs/uploads/')
      assert.equal(opened.status, 202)
      const { pathname } = new URL(String(opened.headers['location']))
      const patched = await send(session, 'PATCH', pathname, { body: content.bytes })
      assert.equal(patched.status, 202)
      const closed = await send(session, 'PUT', `${pathname}?digest=${content.digest}`)
      assert.equal(closed.status, 201)
      assert.equal(
        closed.headers['location'],
        `https://127.0.0.1:${server.port}/v2/app/blobs/${content.digest}`,
      )
    }
    const put = await send(session, 'PUT', '/v2/app/manifests/v1', {
      'content-type': 'application/vnd.oci.image.manifest.v1+json',
      body: image.manifest.bytes,
    })
    assert.equal(put.status, 201)
    const pulled = await send(session, 'GET', '/v2/app/manifests/v1')
    assert.ok(pulled.body.equals(image.manifest.bytes))
    for (const header of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])
      assert.equal(pulled.headers[header], undefined)
    const [layer] = image.layers
    const blob = await send(session, 'GET', `/v2/app/blobs/${layer?.digest}`)
    assert.ok(layer && blob.body.equals(layer.bytes))
    const part = await send(session, 'GET', `/v2/app/blobs/${layer?.digest}`, { range: 'bytes=100-199' })
    assert.deepEqual(
      [part.status, part.body.equals(layer?.bytes.subarray(100, 200) ?? Buffer.alloc(0))],
      [206, true],
    )
  })

  test('a HEAD, a 204 and a 304 have no body', async () => {
    const index = makeIndex([])
    await send(session, 'PUT', '/v2/app/manifests/index', { 'content-type': OCI_INDEX, body: index.bytes })
    const head = await send(session, 'HEAD', '/v2/app/manifests/index')
    assert.deepEqual(
      [head.status, head.headers['content-length'], head.body.length],
      [200, String(index.bytes.length), 0],
    )
    const same = await send(session, 'GET', '/v2/app/manifests/index', {
      'if-none-match': `"${index.digest}"`,
    })
    assert.deepEqual([same.status, same.body.length], [304, 0])
    const opened = await send(session, 'POST', '/v2/app/blobs/uploads/')
    const { pathname } = new URL(String(opened.headers['location']))
    assert.equal((await send(session, 'GET', pathname)).status, 204)
    assert.equal((await send(session, 'DELETE', pathname)).status, 204)
    const missing = await send(session, 'HEAD', '/v2/app/manifests/nothing')
    assert.deepEqual([missing.status, missing.body.length], [404, 0])
  })

  test('a refusal before the end of the body is read, and the session serves on', async () => {
    for (const [method, path, status] of [
      ['PUT', '/v2/NAME/manifests/a', 400],
      ['PATCH', '/v2/app/blobs/uploads/nothing', 404],
      ['PUT', '/v2/_catalog', 405],
    ] as const)
      assert.equal((await send(session, method, path, { body: Buffer.alloc(3 * MiB) })).status, status)
    assert.equal((await send(session, 'GET', '/v2/')).status, 200)
  })

  test('CVE-2017-11468: a manifest without end is refused and its stream is cut, the session serves on', async () => {
    const stream = session.request({ ':method': 'PUT', ':path': '/v2/app/manifests/a' }, { endStream: false })
    stream.on('error', () => {})
    const response = once(stream, 'response') as Promise<[IncomingHttpHeaders]>
    stream.resume()
    const piece = Buffer.alloc(256 * 1024, ' ')
    let sent = 0
    while (!stream.closed && !stream.destroyed && sent < 100 * MiB) {
      if (!stream.write(piece))
        await Promise.race([once(stream, 'drain').catch(() => {}), once(stream, 'close')])
      sent += piece.length
    }
    const [headers] = await response
    assert.equal(headers[':status'], 413)
    assert.ok(sent < 60 * MiB, `${sent} bytes were taken`)
    assert.equal((await send(session, 'GET', '/v2/')).status, 200)
  })

  test('an upload whose stream is reset keeps what came', async () => {
    const opened = await send(session, 'POST', '/v2/app/blobs/uploads/')
    const { pathname } = new URL(String(opened.headers['location']))
    const { bytes, digest } = randomContent(MiB)
    const stream = session.request({ ':method': 'PATCH', ':path': pathname }, { endStream: false })
    stream.on('error', () => {})
    stream.write(bytes.subarray(0, 600_000))
    const offset = async () =>
      Number(String((await send(session, 'GET', pathname)).headers['range']).split('-')[1]) + 1
    while ((await offset()) < 500_000) await wait(10)
    stream.close(constants.NGHTTP2_CANCEL)
    let kept = 0
    for (let turn = 0; turn < 100 && kept !== 600_000; turn++) {
      await wait(10)
      kept = await offset()
    }
    assert.equal(kept, 600_000)
    const put = await send(session, 'PUT', `${pathname}?digest=${digest}`, {
      body: bytes.subarray(kept),
      'content-range': `${kept}-${MiB - 1}`,
    })
    assert.equal(put.status, 201)
  })

  test('a download whose stream is reset leaves the session and no error', async () => {
    const { bytes, digest } = randomContent(8 * MiB)
    assert.equal(
      (await send(session, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, { body: bytes })).status,
      201,
    )
    const stream = session.request({ ':path': `/v2/app/blobs/${digest}` })
    stream.on('error', () => {})
    await once(stream, 'data')
    stream.close(constants.NGHTTP2_CANCEL)
    assert.equal((await send(session, 'GET', '/v2/')).status, 200)
    await wait(30)
    assert.deepEqual(server.log.of('error'), [])
  })

  test('a method that only HTTP/2 lets through is refused like any other', async () => {
    for (const method of ['constructor', '__proto__', 'get', 'M-SEARCH']) {
      const answer = await send(session, method, '/v2/')
      assert.ok(answer.status === 404 || answer.status === 405, `${method}: ${answer.status}`)
    }
    assert.equal((await send(session, 'GET', '/v2/')).status, 200)
  })

  test('many requests at once are answered, each with its own bytes', async () => {
    const blobs = Array.from({ length: 40 }, () => randomContent(30_000))
    const pushed = await Promise.all(
      blobs.map((blob) =>
        send(session, 'POST', `/v2/many/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes }),
      ),
    )
    assert.ok(pushed.every(({ status }) => status === 201))
    const pulled = await Promise.all(
      blobs.map((blob) => send(session, 'GET', `/v2/many/blobs/${blob.digest}`)),
    )
    for (const [index, { body }] of pulled.entries()) assert.equal(digestOf(body), blobs[index]?.digest)
  })

  test('Expect: 100-continue is told to go on', async () => {
    const { bytes, digest } = randomContent(100)
    const stream = session.request(
      { ':method': 'POST', ':path': `/v2/app/blobs/uploads/?digest=${digest}`, expect: '100-continue' },
      { endStream: false },
    )
    await once(stream, 'continue')
    stream.end(bytes)
    assert.equal((await answerOf(stream)).status, 201)
  })

  test('headers larger than the limit end in a refusal, not in memory', async () => {
    const greedy = await openSession(server)
    // Until its settings are acknowledged, a server has to put up with the limit of the protocol.
    assert.equal((await send(greedy, 'GET', '/v2/')).status, 200)
    const stream = greedy.request({ ':path': '/v2/', x: 'x'.repeat(60_000) })
    const outcome = await Promise.race([
      once(stream, 'response').then(([headers]) => Number((headers as IncomingHttpHeaders)[':status'])),
      once(stream, 'close').then(() => 'closed'),
      once(stream, 'error').then(() => 'closed'),
    ]).catch(() => 'closed')
    assert.ok(outcome === 'closed' || outcome === 431, String(outcome))
    greedy.destroy()
  })
})

describe('a stop', () => {
  test('lets a stream finish, and refuses new sessions', async () => {
    await using server = await start()
    const session = await openSession(server)
    const { bytes, digest } = randomContent(MiB)
    const stream = session.request(
      { ':method': 'POST', ':path': `/v2/app/blobs/uploads/?digest=${digest}` },
      { endStream: false },
    )
    const answer = answerOf(stream)
    stream.write(bytes.subarray(0, 1_000))
    await wait(50)
    const { port } = server
    const stopped = server.stop()
    await wait(50)
    const late = connect(`https://127.0.0.1:${port}`, { ca })
    await assert.rejects(once(late, 'connect'))
    stream.end(bytes.subarray(1_000))
    assert.equal((await answer).status, 201)
    await stopped
    session.destroy()
  })

  test('cuts what does not finish within the drain time', async () => {
    await using server = await start({ REGISTRY_HTTP_DRAINTIMEOUT: '300ms' })
    const session = await openSession(server)
    const stream = session.request(
      { ':method': 'POST', ':path': `/v2/app/blobs/uploads/?digest=${digestOf('x')}` },
      { endStream: false },
    )
    stream.on('error', () => {})
    stream.write('y')
    await wait(50)
    const began = performance.now()
    await server.stop()
    assert.ok(performance.now() - began < 3_000)
    session.destroy()
  })

  test('does not wait for a session that is idle', async () => {
    await using server = await start()
    const session = await openSession(server)
    await send(session, 'GET', '/v2/')
    const began = performance.now()
    await server.stop()
    assert.ok(performance.now() - began < 2_000)
    session.destroy()
  })
})

test('a session that is not used ends after the keep-alive time', async () => {
  await using server = await start({ REGISTRY_HTTP_LIMITS_KEEPALIVETIMEOUT: '200ms' })
  const session = await openSession(server)
  assert.equal((await send(session, 'GET', '/v2/')).status, 200)
  const began = performance.now()
  await once(session, 'close')
  assert.ok(performance.now() - began < 3_000)
})
