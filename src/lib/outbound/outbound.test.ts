import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { Resolver } from './guarded-connector.ts'
import { Outbound, type OutboundOptions, type OutboundRequest } from './outbound.ts'
import { OutboundError, type OutboundFault } from './outbound-error.ts'
import { outboundFetch } from './outbound-fetch.ts'

const LIMITS = { bytesMax: 1_000, timeoutMs: 5_000, plain: 'always' } as const

async function listen(
  t: TestContext,
  handle: RequestListener,
  host = '127.0.0.1',
  port = 0,
): Promise<number> {
  const server = createServer(handle)
  server.listen(port, host)
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function open(t: TestContext, options: Partial<OutboundOptions> = {}): Outbound {
  const outbound = new Outbound({ allow: [], ...options })
  t.after(() => outbound.close())
  return outbound
}

const resolvesTo =
  (...addresses: string[]): Resolver =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

const fails = (fault: OutboundFault) => (error: unknown) => {
  assert.ok(error instanceof OutboundError, String(error))
  assert.equal(error.fault, fault, error.message)
  return true
}

const writings = [
  ...['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0x7f.1', '017700000001', '0177.0.0.1', '127.0.0.1.'],
  ...['①②⑦.0.0.1', '127。0。0。1', '0', '0.0.0.0', '%31%32%37.0.0.1', '[::1]', '[::]', '[::ffff:127.0.0.1]'],
  ...['[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b::127.0.0.1]', '[2002:7f00:1::]'],
  ...[
    '169.254.169.254',
    '2852039166',
    '0xa9fea9fe',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '10.0.0.1',
    '192.168.0.1',
  ],
  ...['100.64.0.1', '168.63.129.16', 'localhost', 'LOCALHOST'],
]
for (const host of writings)
  test(`CVE-2026-2377, CVE-2026-32591, CVE-2026-85471: http://${host}/ is refused without a connection`, async (t) => {
    let requests = 0
    const port = await listen(t, (_request, response) => {
      requests++
      response.end()
    })
    const outbound = open(t)
    await assert.rejects(outbound.send({ ...LIMITS, url: `http://${host}:${port}/` }), fails('refused'))
    assert.equal(requests, 0)
  })

for (const [what, addresses] of [
  ['loopback', ['127.0.0.1']],
  ['a private address', ['10.0.0.1']],
  ['an IPv4 address in an IPv6 one', ['::ffff:127.0.0.1']],
  ['NAT64 of a metadata address', ['64:ff9b::a9fe:a9fe']],
  ['a public and a private address', ['93.184.216.34', '192.168.0.1']],
] as const)
  test(`CVE-2020-13788: a name that resolves to ${what} is refused`, async (t) => {
    const outbound = open(t, { resolver: resolvesTo(...addresses) })
    await assert.rejects(outbound.send({ ...LIMITS, url: 'http://hook.example/' }), fails('refused'))
    await assert.rejects(outbound.send({ ...LIMITS, url: 'https://hook.example/' }), fails('refused'))
  })

test('CVE-2020-13788: a resolver that changes its mind is asked once a connection, and checked each time', async (t) => {
  const port = await listen(
    t,
    (_request, response) => response.writeHead(200, { connection: 'close' }).end('outside'),
    '127.0.0.2',
  )
  let inside = 0
  await listen(t, (_request, response) => response.end(`inside ${++inside}`), '127.0.0.1', port)
  let asked = 0
  const outbound = open(t, {
    allow: ['127.0.0.2'],
    resolver: async () => [{ address: asked++ === 0 ? '127.0.0.2' : '127.0.0.1', family: 4 }],
  })
  const sent: OutboundRequest = { ...LIMITS, url: `http://rebind.example:${port}/` }
  assert.equal(String((await outbound.send(sent)).body), 'outside')
  assert.equal(asked, 1)
  await assert.rejects(outbound.send(sent), fails('refused'))
  assert.equal(inside, 0)
})

test('CVE-2020-13788: a redirect to a forbidden address is refused, in whatever writing', async (t) => {
  let inside = 0
  const insidePort = await listen(t, (_request, response) => response.end(`inside ${++inside}`))
  const targets = [
    `http://127.0.0.1:${insidePort}/`,
    `http://2130706433:${insidePort}/`,
    'file:///etc/passwd',
    'gopher://x/',
  ]
  const port = await listen(
    t,
    ({ url }, response) => response.writeHead(302, { location: targets[Number(url?.slice(1))] }).end(),
    '127.0.0.2',
  )
  const outbound = open(t, { allow: ['127.0.0.2'] })
  for (const n of targets.keys())
    await assert.rejects(
      outbound.send({ ...LIMITS, url: `http://127.0.0.2:${port}/${n}`, redirectsMax: 3 }),
      fails('refused'),
    )
  assert.equal(inside, 0)
})

test('by default a redirect is a reply, and is not followed', async (t) => {
  const port = await listen(t, (_request, response) => response.writeHead(302, { location: '/next' }).end())
  const outbound = open(t, { allow: ['127.0.0.1'] })
  const { status, headers } = await outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}/` })
  assert.deepEqual([status, headers.location], [302, '/next'])
})

test('redirects are followed so often and no further', async (t) => {
  const port = await listen(t, ({ url }, response) => response.writeHead(307, { location: `${url}x` }).end())
  const outbound = open(t, { allow: ['127.0.0.1'] })
  await assert.rejects(
    outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}/`, redirectsMax: 2 }),
    fails('too-many-redirects'),
  )
})

test('credentials stay with the host that they were meant for', async (t) => {
  const seen: (string | undefined)[] = []
  const target = await listen(t, ({ headers }, response) => {
    seen.push(
      headers.authorization,
      headers.cookie,
      headers['x-api-key'] as string | undefined,
      headers.accept,
    )
    response.end('there')
  })
  const port = await listen(t, ({ url }, response) => {
    const location = url === '/away' ? `http://127.0.0.1:${target}/` : '/away'
    response.writeHead(302, { location }).end()
  })
  const outbound = open(t, { allow: ['127.0.0.1'] })
  const headers = { Authorization: 'Bearer s', Cookie: 'c=1', 'X-Api-Key': 'k', Accept: 'text/plain' }
  const reply = await outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}/`, headers, redirectsMax: 3 })
  assert.equal(reply.url, `http://127.0.0.1:${target}/`)
  assert.deepEqual(seen, [undefined, undefined, undefined, 'text/plain'])
})

for (const [what, url, plain] of [
  ['plain http where https is asked for', 'http://hook.example/', 'never'],
  ['a password in the URL', 'https://user:pass@hook.example/', 'always'],
  ['another scheme', 'ftp://hook.example/', 'always'],
  ['what is no URL', 'hook.example', 'always'],
] as const)
  test(`${what} is refused`, async (t) => {
    const outbound = open(t, { resolver: resolvesTo('93.184.216.34') })
    await assert.rejects(outbound.send({ ...LIMITS, url, plain }), fails('refused'))
  })

test('in the clear only what the operator listed is reached', async (t) => {
  const port = await listen(t, (_request, response) => response.end('there'))
  const outbound = open(t, { allow: ['127.0.0.1'], resolver: resolvesTo('93.184.216.34') })
  const listed = { ...LIMITS, plain: 'listed' } as const
  assert.equal((await outbound.send({ ...listed, url: `http://127.0.0.1:${port}/` })).status, 200)
  await assert.rejects(outbound.send({ ...listed, url: 'http://hook.example/' }), fails('refused'))
})

test('a reply that is too long is cut, with or without a Content-Length', async (t) => {
  let open_ = true
  const port = await listen(t, (_request, response) => {
    response.on('close', () => {
      open_ = false
    })
    const more = () => {
      if (open_) response.write(Buffer.alloc(500), () => setImmediate(more))
    }
    more()
  })
  const outbound = open(t, { allow: ['127.0.0.1'] })
  await assert.rejects(outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}/` }), fails('too-large'))
})

test('a reply that does not come, or drips, ends with the time that was given', async (t) => {
  const port = await listen(t, ({ url }, response) => {
    if (url === '/silent') return
    const drip = setInterval(() => response.write('.'), 20)
    response.on('close', () => clearInterval(drip))
  })
  const outbound = open(t, { allow: ['127.0.0.1'] })
  for (const path of ['/silent', '/drip'])
    await assert.rejects(
      outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}${path}`, timeoutMs: 200 }),
      fails('timeout'),
    )
})

test('the caller can give up, and sees his own reason', async (t) => {
  const port = await listen(t, () => {})
  const outbound = open(t, { allow: ['127.0.0.1'] })
  const controller = new AbortController()
  const sending = outbound.send({ ...LIMITS, url: `http://127.0.0.1:${port}/`, signal: controller.signal })
  controller.abort(new Error('stopping'))
  await assert.rejects(sending, /stopping/)
})

test('a host where nobody listens cannot be reached', async (t) => {
  const outbound = open(t, { allow: ['127.0.0.1'] })
  await assert.rejects(outbound.send({ ...LIMITS, url: 'http://127.0.0.1:1/' }), fails('unreachable'))
})

test('as a fetch it sends forms and reads JSON', async (t) => {
  const port = await listen(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method: request.method, type: request.headers['content-type'], body }))
  })
  const fetch = outboundFetch(open(t, { allow: ['127.0.0.1'] }), LIMITS)
  const reply = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: new Headers({ 'content-type': 'application/x-www-form-urlencoded' }),
    body: new URLSearchParams({ a: 'b c' }),
  })
  assert.deepEqual(await reply.json(), {
    method: 'POST',
    type: 'application/x-www-form-urlencoded',
    body: 'a=b+c',
  })
})
