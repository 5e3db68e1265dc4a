import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { type LinkOptions, Links } from '#http/links.ts'
import { silentLog } from '#telemetry/log.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-links-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const linksWith = (options: Partial<LinkOptions>) =>
  new Links(
    { prefix: '/', absolute: true, trustedProxies: ['127.0.0.0/8', '::1/128'], ...options },
    silentLog(),
  )

/** A request as the server gets it, from a client that sends these headers. */
async function received(
  headers: Record<string, string>,
  listen: object = { port: 0, host: '127.0.0.1' },
): Promise<IncomingMessage> {
  const server = createServer()
  server.listen(listen)
  await once(server, 'listening')
  const address = server.address()
  const target =
    typeof address === 'string' ? { socketPath: address } : { port: address?.port, host: '127.0.0.1' }
  const outgoing = request({ ...target, headers, agent: false })
  outgoing.on('error', () => {})
  outgoing.end()
  const [incoming] = (await once(server, 'request')) as [IncomingMessage]
  server.close()
  server.unref()
  outgoing.once('close', () => server.closeAllConnections())
  setImmediate(() => outgoing.destroy())
  return incoming
}

test('a peer on our own unix socket is trusted: only who may open it can speak there', async () => {
  const incoming = await received(
    { Host: 'a', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'b' },
    { path: join(folder, 'socket') },
  )
  assert.equal(linksWith({ trustedProxies: [] }).v2(incoming, 'x'), 'https://b/v2/x')
})

const addresses: readonly [headers: Record<string, string>, remote: string][] = [
  [{}, '127.0.0.1'],
  [{ 'X-Forwarded-For': '203.0.113.1, 10.0.0.1' }, '203.0.113.1'],
  [{ 'X-Real-IP': '203.0.113.2' }, '203.0.113.2'],
  [{ Forwarded: 'for=203.0.113.3;proto=https', 'X-Forwarded-For': '203.0.113.4' }, '203.0.113.3'],
  [{ 'X-Forwarded-For': '' }, '127.0.0.1'],
]
for (const [headers, remote] of addresses)
  test(`${JSON.stringify(headers)} comes from ${remote}`, async () => {
    assert.equal(linksWith({}).remote(await received(headers)), remote)
  })

test('whatever a proxy forwards, a link is a URL of the registry and nothing else', async () => {
  const incoming = await received({ Host: 'own.example' })
  const links = linksWith({})
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (host, proto, forwarded) => {
      Object.assign(incoming.headers, { 'x-forwarded-host': host, 'x-forwarded-proto': proto, forwarded })
      const link = links.v2(incoming, 'team/app/blobs/x')
      assert.match(link, /^https?:\/\/[A-Za-z0-9.:[\]_-]+\/v2\/team\/app\/blobs\/x$/)
    }),
  )
})
