// The addresses in Location and Link: paths, or URLs where the configuration or a trusted proxy says which.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OCI_INDEX } from '#oci/media-types.ts'
import { send } from './client.ts'
import { expectStatus, makeIndex, putManifest } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const FORWARDED = {
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'evil.example',
  'X-Forwarded-For': '203.0.113.9',
}
const RFC7239 = { Forwarded: 'for=203.0.113.9;proto=https;host="evil.example:8443", for=10.0.0.1' }
const UNTRUSTING = '[192.0.2.1]'

async function locationWith(server: TestServer, headers: Record<string, string> = {}, prefix = '/') {
  const answer = await send(server, 'POST', `${prefix}v2/app/blobs/uploads/`, { headers })
  expectStatus(answer, 202)
  return String(answer.headers.location)
    .replace(/[0-9a-f-]{36}$/, '<id>')
    .replace(String(server.port), '<port>')
}

describe('Location is', () => {
  const rows: readonly [
    what: string,
    env: Record<string, string>,
    headers: Record<string, string>,
    location: string,
  ][] = [
    ['a path', {}, {}, '/v2/app/blobs/uploads/<id>'],
    ['a path, whatever is forwarded', {}, FORWARDED, '/v2/app/blobs/uploads/<id>'],
    [
      'a path with relativeurls: true',
      { REGISTRY_HTTP_RELATIVEURLS: 'true' },
      {},
      '/v2/app/blobs/uploads/<id>',
    ],
    [
      'below http.host where that is set',
      { REGISTRY_HTTP_HOST: 'https://registry.example.com' },
      { ...FORWARDED, Host: 'other.example' },
      'https://registry.example.com/v2/app/blobs/uploads/<id>',
    ],
    [
      'a URL of the request with relativeurls: false',
      { REGISTRY_HTTP_RELATIVEURLS: 'false' },
      {},
      'http://127.0.0.1:<port>/v2/app/blobs/uploads/<id>',
    ],
    [
      'a URL of the Host header with relativeurls: false',
      { REGISTRY_HTTP_RELATIVEURLS: 'false' },
      { Host: 'registry.test:5000' },
      'http://registry.test:5000/v2/app/blobs/uploads/<id>',
    ],
    [
      'a URL of what a trusted proxy forwards',
      { REGISTRY_HTTP_RELATIVEURLS: 'false' },
      FORWARDED,
      'https://evil.example/v2/app/blobs/uploads/<id>',
    ],
    [
      'a URL of the first element of Forwarded',
      { REGISTRY_HTTP_RELATIVEURLS: 'false' },
      RFC7239,
      'https://evil.example:8443/v2/app/blobs/uploads/<id>',
    ],
    [
      'Gitea CVE-2026-20896: nothing that somebody else forwards',
      { REGISTRY_HTTP_RELATIVEURLS: 'false', REGISTRY_HTTP_TRUSTEDPROXIES: UNTRUSTING },
      { ...FORWARDED, ...RFC7239 },
      'http://127.0.0.1:<port>/v2/app/blobs/uploads/<id>',
    ],
    [
      'never made of a forwarded host that is none, nor of a scheme that is none',
      { REGISTRY_HTTP_RELATIVEURLS: 'false' },
      { 'X-Forwarded-Host': 'a/b"<x>', 'X-Forwarded-Proto': 'gopher' },
      'http://127.0.0.1:<port>/v2/app/blobs/uploads/<id>',
    ],
  ]
  for (const [what, env, headers, location] of rows)
    test(what, async () => {
      await using server = await startServer({ env })
      assert.equal(await locationWith(server, headers), location)
    })
})

test('Gitea CVE-2026-20896: the address of the client is what a trusted proxy says, and no one else', async () => {
  for (const [trusted, expected] of [
    ['[127.0.0.0/8]', '203.0.113.9'],
    [UNTRUSTING, '127.0.0.1'],
  ] as const) {
    await using server = await startServer({ env: { REGISTRY_HTTP_TRUSTEDPROXIES: trusted } })
    await send(server, 'GET', '/v2/', { headers: FORWARDED })
    const line = await server.access.first(({ msg }) => msg === 'request')
    assert.equal(line.fields['remote'], expected)
  }
})

test('headers from a peer that is not trusted are warned of once, with what to set', async () => {
  await using server = await startServer({ env: { REGISTRY_HTTP_TRUSTEDPROXIES: UNTRUSTING } })
  for (let round = 0; round < 3; round++) await send(server, 'GET', '/v2/', { headers: FORWARDED })
  const warnings = server.log.of('warn')
  assert.equal(warnings.length, 1)
  assert.match(String(warnings[0]?.fields['hint']), /http\.trustedproxies: \[127\.0\.0\.1\]/)
})

describe('below a prefix', () => {
  test('everything is served, and links lead there', async () => {
    await using server = await startServer({ env: { REGISTRY_HTTP_PREFIX: '/registry' } })
    assert.equal((await send(server, 'GET', '/registry/v2/')).status, 200)
    assert.equal((await send(server, 'GET', '/registry/v2')).status, 200)
    assert.equal((await send(server, 'GET', '/registry/')).status, 200)
    for (const outside of ['/v2/', '/registryv2/', '/other/v2/'])
      assert.equal((await send(server, 'GET', outside)).status, 404, outside)
    const location = await locationWith(server, {}, '/registry/')
    assert.equal(location, '/registry/v2/app/blobs/uploads/<id>')
    assert.equal((await send(server, 'GET', '/healthz')).status, 200)
  })

  test('the link to the next page has host and prefix', async () => {
    await using server = await startServer({
      env: { REGISTRY_HTTP_PREFIX: '/r/', REGISTRY_HTTP_HOST: 'https://a.example/' },
    })
    const { bytes } = makeIndex([])
    for (const tag of ['a', 'b']) {
      const answer = await send(server, 'PUT', `/r/v2/app/manifests/${tag}`, {
        headers: { 'Content-Type': OCI_INDEX },
        body: bytes,
      })
      assert.match(String(answer.headers.location), /^https:\/\/a\.example\/r\/v2\/app\/manifests\/sha256:/)
    }
    const page = await send(server, 'GET', '/r/v2/app/tags/list?n=1')
    assert.equal(page.headers['link'], '<https://a.example/r/v2/app/tags/list?n=1&last=a>; rel="next"')
  })
})

test('the challenge of a token realm does not depend on what strangers forward', async () => {
  await using server = await startServer({ env: { REGISTRY_AUTH: 'silly' } })
  const plain = await send(server, 'GET', '/v2/')
  const forwarded = await send(server, 'GET', '/v2/', { headers: FORWARDED })
  assert.equal(forwarded.headers['www-authenticate'], plain.headers['www-authenticate'])
})

test('a manifest has its Location by digest, whatever it was pushed as', async () => {
  await using server = await startServer()
  const index = makeIndex([])
  for (const reference of ['tag', index.digest]) {
    const answer = await putManifest(server, 'app', reference, index.bytes, OCI_INDEX)
    assert.equal(answer.headers.location, `/v2/app/manifests/${index.digest}`)
  }
})
