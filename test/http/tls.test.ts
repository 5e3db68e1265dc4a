// The usual secure set-up of registry:2, as it is written for it: a certificate of one's own and htpasswd; HTTP/1.1.
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createHtpasswd } from '#access/passwords/htpasswd-write.ts'
import { digestOf } from '#oci/digest.ts'
import { type KeyPair, selfSigned, signedBy } from './certificates.ts'
import { type Answer, collect, responseTo } from './client.ts'
import { RawConnection } from './raw-connection.ts'
import { startServer, type TestServer } from './server.ts'

let folder: string
let first: KeyPair
let second: KeyPair
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-tls-'))
  first = await selfSigned(folder, 'first')
  second = await selfSigned(folder, 'second')
})
after(() => rm(folder, { recursive: true, force: true }))

interface SecureOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  readonly ca?: KeyPair
  readonly client?: KeyPair
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3'
}

async function secure(server: TestServer, path: string, options: SecureOptions = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, ca = first, client, maxVersion } = options
  const outgoing = request({
    ...{ host: '127.0.0.1', port: server.port, path, method, headers, agent: false },
    ca: await readFile(ca.certificate),
    ...(client && { cert: await readFile(client.certificate), key: await readFile(client.key) }),
    ...(maxVersion && { maxVersion }),
  })
  outgoing.end(body)
  return collect(await responseTo(outgoing))
}

const tlsEnv = (pair: KeyPair) => ({
  REGISTRY_HTTP_TLS_CERTIFICATE: pair.certificate,
  REGISTRY_HTTP_TLS_KEY: pair.key,
})

test('TLS and htpasswd: log in, push and pull', async () => {
  const users = join(folder, 'users')
  await createHtpasswd(users, 'ann', 'secret')
  await using server = await startServer({
    env: {
      ...tlsEnv(first),
      REGISTRY_AUTH: 'htpasswd',
      REGISTRY_AUTH_HTPASSWD_PATH: users,
      REGISTRY_HTTP_RELATIVEURLS: 'false',
    },
  })
  assert.equal((await secure(server, '/v2/')).status, 401)
  const headers = { Authorization: `Basic ${Buffer.from('ann:secret').toString('base64')}` }
  assert.equal((await secure(server, '/v2/', { headers })).status, 200)
  const body = Buffer.alloc(300_000, 'layer')
  const pushed = await secure(server, `/v2/app/blobs/uploads/?digest=${digestOf(body)}`, {
    method: 'POST',
    headers,
    body,
  })
  assert.deepEqual(
    [pushed.status, pushed.headers.location],
    [201, `https://127.0.0.1:${server.port}/v2/app/blobs/${digestOf(body)}`],
  )
  const pulled = await secure(server, `/v2/app/blobs/${digestOf(body)}`, { headers })
  assert.ok(pulled.body.equals(body))
})

for (const http2 of ['on', 'off'])
  describe(`with HTTP/2 ${http2}`, () => {
    const env = () => ({
      ...tlsEnv(first),
      REGISTRY_HTTP_HTTP2_DISABLED: String(http2 === 'off'),
      REGISTRY_HTTP_LIMITS_HEADERTIMEOUT: '300ms',
      REGISTRY_HTTP_DRAINTIMEOUT: '5s',
    })

    test('a certificate that was replaced is presented after a reload, and open connections live on', async () => {
      const pair = { certificate: join(folder, `live-${http2}.crt`), key: join(folder, `live-${http2}.key`) }
      const install = async (from: KeyPair) => {
        await copyFile(from.certificate, pair.certificate)
        await copyFile(from.key, pair.key)
      }
      await install(first)
      await using server = await startServer({ env: { ...env(), ...tlsEnv(pair) } })
      assert.equal((await secure(server, '/v2/')).status, 200)
      await install(second)
      assert.equal((await secure(server, '/v2/')).status, 200)
      await server.app.reload()
      assert.equal((await secure(server, '/v2/', { ca: second })).status, 200)
      await assert.rejects(secure(server, '/v2/', { ca: first }), /self-signed certificate|unable to verify/)
      await copyFile(first.key, pair.key)
      await assert.rejects(server.app.reload(), /cannot be used/)
      assert.equal((await secure(server, '/v2/', { ca: second })).status, 200)
    })

    test('headers that never end, and handshakes that never begin, are cut', async () => {
      await using server = await startServer({ env: env() })
      const open = () =>
        new Promise<TLSSocket>((resolve) => {
          const socket: TLSSocket = connect(
            { host: '127.0.0.1', port: server.port, rejectUnauthorized: false },
            () => resolve(socket),
          )
          socket.on('error', () => {})
        })
      const slow = await open()
      const closed = new Promise<void>((resolve) => slow.once('close', () => resolve()))
      slow.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n')
      slow.resume()
      await closed
      using silent = await RawConnection.open(server.port)
      assert.ok((await silent.untilClosed()) < 3_000)
    })

    test('a stop ends idle connections at once', async () => {
      await using server = await startServer({ env: env() })
      const socket = connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false })
      socket.on('error', () => {})
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
      await new Promise((resolve) => socket.once('data', resolve))
      const start = performance.now()
      await server.stop()
      assert.ok(performance.now() - start < 2_000)
    })
  })

test('an older TLS than the minimum is refused', async () => {
  await using server = await startServer({
    env: { ...tlsEnv(first), REGISTRY_HTTP_TLS_MINIMUMTLS: 'tls1.3' },
  })
  assert.equal((await secure(server, '/v2/')).status, 200)
  await assert.rejects(
    secure(server, '/v2/', { maxVersion: 'TLSv1.2' }),
    /protocol version|handshake failure/,
  )
})

describe('certificates of clients', () => {
  let known: KeyPair
  let stranger: KeyPair
  before(async () => {
    known = await signedBy(folder, first, 'known')
    stranger = await signedBy(folder, second, 'stranger')
  })

  const rows: readonly [clientauth: string, none: boolean, known: boolean, stranger: boolean][] = [
    ['require-and-verify-client-cert', false, true, false],
    ['verify-client-cert-if-given', true, true, false],
    ['require-any-client-cert', false, true, true],
    ['request-client-cert', true, true, true],
  ]
  for (const [clientauth, ...allowed] of rows)
    for (const http2 of ['true', 'false'])
      test(`${clientauth} lets in whom it says, with HTTP/2 disabled: ${http2}`, async () => {
        await using server = await startServer({
          env: {
            ...tlsEnv(first),
            REGISTRY_HTTP_TLS_CLIENTCAS: `[${first.certificate}]`,
            REGISTRY_HTTP_TLS_CLIENTAUTH: clientauth,
            REGISTRY_HTTP_HTTP2_DISABLED: http2,
          },
        })
        for (const [index, client] of [undefined, known, stranger].entries()) {
          const answer = await secure(server, '/v2/', client ? { client } : {}).then(
            ({ status }) => status,
            () => 'refused',
          )
          assert.equal(answer, allowed[index] ? 200 : 'refused', client?.certificate)
        }
      })
})

test('a key that does not fit the certificate, or a file that is missing, stops the start with its name', async () => {
  const env = { REGISTRY_HTTP_TLS_CERTIFICATE: first.certificate, REGISTRY_HTTP_TLS_KEY: second.key }
  await assert.rejects(
    startServer({ env }),
    new RegExp(`${first.certificate} and the key ${second.key} cannot be used`),
  )
  await assert.rejects(
    startServer({ env: { ...env, REGISTRY_HTTP_TLS_KEY: join(folder, 'nothing') } }),
    /http\.tls\.key: ENOENT/,
  )
})
