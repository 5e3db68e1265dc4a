// What clients are told when they ask too often, move too much or pull too many images.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { type Answer, begin, errorOf, json, responseTo, send, type Target } from './client.ts'
import {
  descriptorOf,
  expectStatus,
  makeImage,
  makeIndex,
  openSession,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { type Managed, startManaged } from './people.ts'

const KiB = 1024
const MiB = 1024 * KiB

const LIMITS = {
  REGISTRY_HTTP_TRUSTEDPROXIES: '127.0.0.1',
  REGISTRY_RATELIMITS_ADDRESS_REQUESTS: '40/24h',
  REGISTRY_RATELIMITS_ACCOUNT_PULLS: '3/24h',
  REGISTRY_RATELIMITS_ACCOUNT_BYTES: '8MiB/24h',
  REGISTRY_RATELIMITS_ACCOUNT_REQUESTS: '30/24h',
  REGISTRY_RATELIMITS_EXEMPT_ACCOUNTS: 'admin',
  REGISTRY_RATELIMITS_EXEMPT_NETWORKS: '192.0.2.0/24',
}

let managed: Managed
before(async () => {
  managed = await startManaged({ env: LIMITS, onDisk: true })
  // Without a proxy's word the address would be loopback, and the setting up would count.
  await setUp('POST', '/projects', { name: 'team' })
})
after(() => managed[Symbol.asyncDispose]())

const EXEMPT = '192.0.2.1'

function from(address: string, target: Target): Target {
  return {
    get port() {
      return target.port
    },
    headers: { ...target.headers, 'X-Forwarded-For': address },
  }
}

async function setUp(method: string, path: string, body: unknown): Promise<void> {
  const answer = await managed.call(method, path, body, from(EXEMPT, managed.as('admin')))
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.body}`)
}

/** A user who may push, at an address where nobody counts but him. */
async function newcomer(name: string, address: string): Promise<Target> {
  await setUp('POST', '/users', { name, password: 'correct horse battery' })
  await setUp('PUT', `/projects/team/members/users/${name}`, { role: 'maintainer' })
  return from(address, managed.as(name))
}

const owner = () => from(EXEMPT, managed.as('admin'))

function expectLimited(answer: Answer, limited: string, by: string): void {
  expectStatus(answer, 429)
  const { code, detail } = errorOf(answer)
  assert.equal(code, 'TOOMANYREQUESTS')
  assert.partialDeepStrictEqual(detail, { guard: 'rate-limit', limited, by })
  assert.ok(Number(answer.headers['retry-after']) > 0)
}

describe('requests', () => {
  test('beyond those of an address are refused at every door, before a password is looked at', async () => {
    const nobody = from('198.51.100.1', { port: managed.server.port })
    for (let request = 0; request < 40; request++) expectStatus(await send(nobody, 'GET', '/v2/'), 401)
    expectLimited(await send(nobody, 'GET', '/v2/'), 'requests', 'address')
    expectLimited(
      await send(nobody, 'HEAD', '/v2/').then(() => send(nobody, 'GET', '/v2/team/a/tags/list')),
      'requests',
      'address',
    )
    const wrong = from('198.51.100.1', managed.as('admin', 'wrong'))
    expectLimited(await send(wrong, 'GET', '/v2/'), 'requests', 'address')
    expectLimited(await send(nobody, 'GET', '/token?service=stowage'), 'requests', 'address')
    for (const path of ['/api/v1/projects', '/api/v1/nothing', '/auth/session']) {
      const answer = await send(nobody, 'GET', path)
      expectStatus(answer, 429)
      assert.equal(answer.headers['content-type'], 'application/problem+json', path)
      assert.ok(Number(answer.headers['retry-after']) > 0)
    }
    expectStatus(await send(nobody, 'GET', '/readyz'), 200)
    expectStatus(await send(from('198.51.100.2', { port: managed.server.port }), 'GET', '/v2/'), 401)
  })

  test('of an account count from every address, by password and by token, for the registry and its management', async () => {
    const ann = await newcomer('ann', '198.51.100.10')
    for (let request = 0; request < 15; request++)
      expectStatus(await send(from(`198.51.101.${request}`, ann), 'GET', '/v2/'), 200)
    const { token } = json(await send(ann, 'GET', '/token?service=stowage')) as { token: string }
    const bearer = from('198.51.100.11', {
      port: managed.server.port,
      headers: { Authorization: `Bearer ${token}` },
    })
    for (let request = 0; request < 10; request++) expectStatus(await send(bearer, 'GET', '/v2/'), 200)
    for (let request = 0; request < 5; request++) expectStatus(await send(ann, 'GET', '/api/v1/me'), 200)
    expectLimited(await send(bearer, 'GET', '/v2/'), 'requests', 'account')
    expectStatus(await send(ann, 'GET', '/api/v1/me'), 429)
    expectStatus(await send(from('198.51.100.10', managed.as('admin')), 'GET', '/v2/'), 200)
  })

  test('that are refused are counted, and fill no audit log', async () => {
    const actions = await auditActions()
    assert.ok(actions.includes('projects.created') && !actions.includes('version.read'), actions.join())
    const text = await (await managed.server.app.metrics.exposition()).text()
    assert.match(text, /^stowage_rate_limited_total\{limit="requests",by="address"\} [1-9]/m)
  })
})

async function auditActions(): Promise<string[]> {
  await managed.server.audit.seal()
  const answer = await send(owner(), 'GET', '/api/v1/audit?limit=100')
  const { items } = json(answer) as { items: { action: string }[] }
  return items.map(({ action }) => action)
}

describe('pulls', () => {
  test('are fetches of images: a HEAD, an index, what the client has, and layers are free; all tell what is left', async () => {
    const bob = await newcomer('bob', '198.51.100.20')
    const image = makeImage()
    await pushImage(owner(), 'team/app', 'v1', image)
    const index = makeIndex([descriptorOf(image.manifest, OCI_MANIFEST)])
    expectStatus(await putManifest(owner(), 'team/app', 'multi', index.bytes, OCI_INDEX), 201)
    const left = (answer: Answer) => answer.headers['ratelimit-remaining']
    const get = (reference: string, headers = {}) =>
      send(bob, 'GET', `/v2/team/app/manifests/${reference}`, { headers })
    const head = await send(bob, 'HEAD', '/v2/team/app/manifests/v1')
    assert.equal(head.headers['ratelimit-limit'], '3;w=86400')
    assert.equal(left(head), '3;w=86400')
    assert.equal(head.headers['docker-ratelimit-source'], 'bob')
    assert.equal(left(await get('multi')), '3;w=86400')
    assert.equal(left(await get('v1')), '2;w=86400')
    expectStatus(await get('v1', { 'If-None-Match': `"${image.manifest.digest}"` }), 304)
    expectStatus(await get('absent'), 404)
    expectStatus(await send(bob, 'GET', `/v2/team/app/blobs/${image.config.digest}`), 200)
    assert.equal(left(await get(image.manifest.digest)), '1;w=86400')
    assert.equal(left(await get('v1')), '0;w=86400')
    const refused = await get('v1')
    expectLimited(refused, 'pulls', 'account')
    assert.equal(left(refused), '0;w=86400')
    assert.match(
      errorOf(refused).message,
      /^too many pulls of your account: 3\/24h are allowed; try again in \d+ s$/,
    )
    expectStatus(await send(bob, 'HEAD', '/v2/team/app/manifests/v1'), 200)
    expectStatus(await get('multi'), 200)
  })

  test('are remembered over a restart', async () => {
    await managed.server.restart()
    const bob = from('198.51.100.21', managed.as('bob'))
    // The first request of a client makes the new process ask what is known of him.
    for (let tries = 0; ; tries++) {
      const answer = await send(bob, 'HEAD', '/v2/team/app/manifests/v1')
      if (answer.headers['ratelimit-remaining'] === '0;w=86400') break
      assert.ok(tries < 20, 'the new process does not know of the pulls before it')
      await wait(100)
    }
    expectLimited(await send(bob, 'GET', '/v2/team/app/manifests/v1'), 'pulls', 'account')
  })
})

describe('bytes', () => {
  test('count in both directions, also those of a body without a length; metadata goes on when they are used up', async () => {
    const cat = await newcomer('cat', '198.51.100.30')
    const blob = randomContent(3 * MiB)
    const path = await openSession(cat, 'team/bytes')
    const patch = begin(cat, 'PATCH', path, { headers: { 'Transfer-Encoding': 'chunked' } })
    patch.end(blob.bytes)
    const opened = await responseTo(patch)
    opened.resume()
    assert.equal(opened.statusCode, 202)
    const location = String(opened.headers.location)
    expectStatus(
      await send(cat, 'PUT', `${location}${location.includes('?') ? '&' : '?'}digest=${blob.digest}`),
      201,
    )
    const get = () => send(cat, 'GET', `/v2/team/bytes/blobs/${blob.digest}`)
    expectStatus(await get(), 200)
    // 6 of 8 MiB are used. What begins while any are left goes to its end.
    expectStatus(await get(), 200)
    expectLimited(await get(), 'bytes', 'account')
    const small = randomContent(10)
    expectLimited(
      await send(cat, 'POST', `/v2/team/bytes/blobs/uploads/?digest=${small.digest}`, { body: small.bytes }),
      'bytes',
      'account',
    )
    expectStatus(await send(cat, 'HEAD', `/v2/team/bytes/blobs/${blob.digest}`), 200)
    expectStatus(await send(cat, 'GET', '/v2/team/app/tags/list'), 200)
  })

  test('of a transfer that broke off count as far as it came', async () => {
    const dan = await newcomer('dan', '198.51.100.40')
    const blob = randomContent(32 * MiB)
    await pushBlob(owner(), 'team/bytes', blob)
    const outgoing = begin(dan, 'GET', `/v2/team/bytes/blobs/${blob.digest}`)
    outgoing.end()
    const response = await responseTo(outgoing)
    response.once('data', () => response.destroy())
    await new Promise((resolve) => response.once('close', resolve))
    const small = randomContent(1)
    for (let tries = 0; ; tries++) {
      // Until the server has seen that the client is gone, all of it counts.
      const answer = await send(dan, 'POST', `/v2/team/bytes/blobs/uploads/?digest=${small.digest}`, {
        body: small.bytes,
      })
      if (answer.status === 201) break
      expectLimited(answer, 'bytes', 'account')
      assert.ok(tries < 8, 'all of the blob counts, though it was not fetched')
      await wait(200)
    }
  })
})
