// Connections: TLS with an authority of one's own, client certificates, proxies, and large transfers over either.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttp, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { isClientError } from '#client/client-error.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { type TlsOptions, Transport, type TransportOptions } from '#client/transport.ts'
import { sourceOf } from '#lib/byte-source.ts'
import { type KeyPair, selfSigned, signedBy } from '../http/certificates.ts'

const MiB = 1024 * 1024
const BODY = randomBytes(24 * MiB)

let folder = ''
let server: KeyPair
let clientPair: KeyPair
let authority = ''
let closers: (() => Promise<void> | void)[] = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transport-'))
  server = await selfSigned(folder, 'server')
  clientPair = await signedBy(folder, server, 'client')
  authority = await readFile(server.certificate, 'utf8')
})
after(() => rm(folder, { recursive: true, force: true }))
afterEach(async () => {
  for (const close of closers.reverse()) await close()
  closers = []
})

function listen(listening: Server): Promise<string> {
  listening.listen(0, '127.0.0.1')
  closers.push(() => {
    listening.closeAllConnections()
    listening.close()
  })
  return once(listening, 'listening').then(() => `127.0.0.1:${(listening.address() as AddressInfo).port}`)
}

function transport(options: TransportOptions): Transport {
  const made = new Transport(options)
  closers.push(() => made.close())
  return made
}

async function get(by: Transport, url: string, bulk: boolean, slowly = false) {
  const hash = createHash('sha256')
  let bytes = 0
  // Chunks are kept until the end, so that memory which is used again too early is seen in the hash.
  const kept: Uint8Array[] = []
  const reply = await by.send({ method: 'GET', url: new URL(url), headers: {}, bulk }, () => (chunk) => {
    bytes += chunk.byteLength
    kept.push(chunk)
    return slowly && kept.length % 8 === 0 ? sleep(1) : undefined
  })
  for (const chunk of kept) hash.update(chunk)
  return { status: reply.status, bytes, digest: hash.digest('hex') }
}

const EXPECTED = {
  status: 200,
  bytes: BODY.byteLength,
  digest: createHash('sha256').update(BODY).digest('hex'),
}

async function tlsHost(
  requestCert = false,
  onRequest?: (subject: string | undefined) => void,
): Promise<string> {
  const options = {
    cert: authority,
    key: await readFile(server.key),
    ca: authority,
    requestCert,
    rejectUnauthorized: false,
  }
  return await listen(
    createHttps(options, (request, response) => {
      const socket = request.socket as TLSSocket
      const subject = socket.authorized ? socket.getPeerCertificate().subject?.CN : undefined
      onRequest?.(Array.isArray(subject) ? subject[0] : subject)
      response.setHeader('content-length', BODY.byteLength)
      response.end(BODY)
    }),
  )
}

describe('TLS', () => {
  for (const bulk of [true, false]) {
    const way = bulk ? 'over a connection of its own' : 'over the pool'

    test(`an authority of one's own is trusted, ${way}`, async () => {
      const host = await tlsHost()
      const by = transport({ tls: { authorities: [authority] } })
      assert.deepEqual(await get(by, `https://${host}/x`, bulk, true), EXPECTED)
      assert.deepEqual(await get(by, `https://${host}/x`, bulk), EXPECTED)
    })

    test(`without it the connection is refused with a reason, ${way}`, async () => {
      const host = await tlsHost()
      await assert.rejects(get(transport({}), `https://${host}/x`, bulk), (error) => {
        assert.ok(isClientError(error, 'tls'))
        assert.match(
          error.message,
          /no trusted TLS connection to 127\.0\.0\.1:\d+ \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
        )
        assert.equal(error.retryable, false)
        return true
      })
    })

    test(`any certificate is taken when that is asked for, ${way}`, async () => {
      const host = await tlsHost()
      assert.deepEqual(await get(transport({ tls: { insecure: true } }), `https://${host}/x`, bulk), EXPECTED)
    })

    test(`a client certificate is shown to its host alone, ${way}`, async () => {
      const subjects: (string | undefined)[] = []
      const host = await tlsHost(true, (subject) => subjects.push(subject))
      const clientCertificate = {
        certificate: await readFile(clientPair.certificate, 'utf8'),
        key: await readFile(clientPair.key, 'utf8'),
      }
      const tls = (hostname: string): TlsOptions => ({
        authorities: [authority],
        clientCertificate: { ...clientCertificate, hostname },
      })
      await get(transport({ tls: tls('127.0.0.1') }), `https://${host}/x`, bulk)
      await get(transport({ tls: tls('registry.example') }), `https://${host}/x`, bulk)
      assert.deepEqual(subjects, ['client', undefined])
    })
  }

  test('a registry on this machine is spoken to in TLS where it speaks TLS, and else in plain HTTP', async () => {
    const secure = await tlsHost()
    const plain = await listen(createHttp((_, response) => response.end('{}')))
    for (const [host, options] of [
      [secure, { tls: { authorities: [authority] } }],
      [plain, {}],
    ] as const) {
      const client = new RegistryClient({ host, transport: options })
      closers.push(() => client.close())
      await client.send({ method: 'GET', path: '/v2/', scopes: [], expect: [200], bodyBytesMax: 64 * MiB })
    }
    // A certificate that is not trusted is no reason to fall back to plain HTTP.
    const distrusting = new RegistryClient({ host: secure, retry: { attemptsMax: 1 } })
    closers.push(() => distrusting.close())
    await assert.rejects(distrusting.ping(), { kind: 'tls' })
  })

  test('a redirect from HTTPS to plain HTTP is not followed', async () => {
    const plain = await listen(createHttp((_, response) => response.end('content')))
    const options = { cert: authority, key: await readFile(server.key) }
    const host = await listen(
      createHttps(options, (_, response) => {
        response.writeHead(307, { location: `http://${plain}/` })
        response.end()
      }),
    )
    const by = transport({ tls: { authorities: [authority] } })
    await assert.rejects(get(by, `https://${host}/x`, false), { kind: 'unsafe' })
  })
})

describe('a large transfer', () => {
  test('arrives whole through a slow receiver, in memory that is not used again too early', async () => {
    const host = await listen(
      createHttp((_, response) => {
        response.setHeader('content-length', BODY.byteLength)
        response.end(BODY)
      }),
    )
    const by = transport({})
    const [one, two] = await Promise.all([
      get(by, `http://${host}/a`, true, true),
      get(by, `http://${host}/b`, true),
    ])
    assert.deepEqual([one, two], [EXPECTED, EXPECTED])
  })

  test('in a form that is not read directly is asked for again', async () => {
    const asked: (string | undefined)[] = []
    const host = await listen(
      createHttp((request, response) => {
        asked.push(request.url)
        response.write(BODY.subarray(0, MiB))
        response.end(BODY.subarray(MiB))
      }),
    )
    assert.deepEqual(await get(transport({}), `http://${host}/chunked`, true), EXPECTED)
    assert.deepEqual(asked, ['/chunked', '/chunked'])
  })

  test('over a connection that the server closed while it was idle begins anew', async () => {
    const host = await listen(
      createHttp({ keepAliveTimeout: 50 }, (_, response) => {
        response.setHeader('content-length', BODY.byteLength)
        response.end(BODY)
      }),
    )
    const by = transport({})
    assert.deepEqual(await get(by, `http://${host}/a`, true), EXPECTED)
    await sleep(1200)
    assert.deepEqual(await get(by, `http://${host}/a`, true), EXPECTED)
  })

  for (const bulk of [true, false]) {
    test(`is sent whole ${bulk ? 'over a connection of its own' : 'over the pool'}, and ends early when it is refused`, async () => {
      let received = ''
      const host = await listen(
        createHttp(async (request, response) => {
          if (request.url === '/refuse') {
            response.writeHead(413, { 'content-length': 0 })
            response.end()
            return
          }
          const hash = createHash('sha256')
          for await (const chunk of request) hash.update(chunk)
          received = hash.digest('hex')
          response.writeHead(202, { 'content-length': 0 })
          response.end()
        }),
      )
      const by = transport({})
      const pieces = Array.from({ length: 24 }, (_, index) => BODY.subarray(index * MiB, (index + 1) * MiB))
      const body = { size: BODY.byteLength, open: () => sourceOf(...pieces) }
      const send = (path: string) =>
        by.send(
          { method: 'PATCH', url: new URL(`http://${host}${path}`), headers: {}, body, bulk },
          () => () => undefined,
        )
      assert.equal((await send('/take')).status, 202)
      assert.equal(received, EXPECTED.digest)
      const refused = await send('/refuse').then(
        ({ status }) => status,
        (error: unknown) => (isClientError(error, 'unreachable') ? 'reset' : error),
      )
      // The server may close before its answer was read: then it is a broken connection, which is looked into.
      assert.ok(refused === 413 || refused === 'reset', String(refused))
    })
  }
})

describe('a proxy', () => {
  async function proxy() {
    const seen: string[] = []
    const listening = createHttp((request, response) => {
      seen.push(`${request.method} ${request.url}`)
      response.end('through the proxy')
    })
    listening.on('connect', (request, socket: Socket) => {
      seen.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
      const [, port] = (request.url ?? '').split(':')
      const upstream = connect(Number(port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        upstream.pipe(socket).pipe(upstream)
      })
      for (const end of [upstream, socket]) end.on('error', () => socket.destroy())
      closers.push(() => {
        upstream.destroy()
      })
    })
    return { seen, url: `http://user:pass@${await listen(listening)}` }
  }

  test('takes plain HTTP as whole URLs and HTTPS through a tunnel, also large transfers', async () => {
    const { seen, url } = await proxy()
    const host = await tlsHost()
    const [, port] = host.split(':')
    const by = transport({ proxy: { http: url, https: url }, tls: { insecure: true } })
    const plain = await get(by, 'http://registry.invalid/v2/', true)
    assert.equal(plain.bytes, 'through the proxy'.length)
    const secure = await get(by, `https://registry.invalid:${port}/blob`, true)
    assert.deepEqual(secure, EXPECTED)
    const basic = `Basic ${Buffer.from('user:pass').toString('base64')}`
    assert.deepEqual(seen, ['GET http://registry.invalid/v2/', `CONNECT registry.invalid:${port} ${basic}`])
  })
})
