// GET /v2/, the challenge of a guarded server, and what stands beside /v2/.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setHtpasswdUser } from '#access/passwords/htpasswd-write.ts'
import { errorOf, json, refusalOf, send } from './client.ts'
import { makeImage, pushBlob, randomContent } from './content.ts'
import { exchange } from './raw-connection.ts'
import { startServer, type TestServer } from './server.ts'

describe('a server without authentication', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: { REGISTRY_HTTP_HEADERS: '{X-Site: [one, two]}' } })
  })
  after(() => server[Symbol.asyncDispose]())

  for (const path of ['/v2/', '/v2'])
    test(`GET ${path} says that this is a registry of API version 2`, async () => {
      const answer = await send(server, 'GET', path)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0')
      assert.equal(answer.headers['content-type'], 'application/json')
      assert.equal(answer.headers['www-authenticate'], undefined)
      assert.deepEqual(json(answer), {})
    })

  test('HEAD /v2/ is GET without the body', async () => {
    const answer = await send(server, 'HEAD', '/v2/')
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [200, '2', 0])
  })

  test('credentials that nobody asked for change nothing', async () => {
    const answer = await send(server, 'GET', '/v2/', { headers: { Authorization: 'Basic bm90OnVzZWQ=' } })
    assert.equal(answer.status, 200)
  })

  test('headers of the configuration are on every reply, refusals too', async () => {
    for (const path of ['/v2/', '/v2/no/tags/list', '/v2/NO/tags/list']) {
      const answer = await send(server, 'GET', path)
      assert.equal(answer.headers['x-site'], 'one, two', path)
      assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0', path)
    }
  })

  test('GET / is 200 and not to be cached, as load balancers that knew registry:2 expect', async () => {
    const answer = await send(server, 'GET', '/')
    assert.deepEqual(
      [answer.status, answer.headers['cache-control'], answer.body.length],
      [200, 'no-cache', 0],
    )
  })

  for (const path of ['/healthz', '/readyz', '/debug/health'])
    test(`${path} is well`, async () => {
      assert.equal((await send(server, 'GET', path)).status, 200)
    })

  for (const path of ['/nothing', '/v3/', '/v2/nothing', '/v2/a/b/c', '/v2/a/tags', '/v2a/'])
    test(`${path} is no endpoint: 404 in the envelope of the specification`, async () => {
      const answer = await send(server, 'GET', path)
      assert.equal(refusalOf(answer), '404 NAME_UNKNOWN')
      assert.equal(answer.headers['content-type'], 'application/json')
    })

  test('a request line that is no HTTP is 400, and the connection ends', async () => {
    const text = await exchange(server.port, 'HELLO\r\n\r\n')
    assert.match(text, /^HTTP\/1\.1 400 /)
    assert.match(text, /Connection: close/)
  })

  test('headers larger than the limit are 431, and the connection ends', async () => {
    const text = await exchange(
      server.port,
      `GET /v2/ HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
    )
    assert.match(text, /^HTTP\/1\.1 431 /)
  })
})

describe('a server with htpasswd', () => {
  let server: TestServer
  const basic = (text: string) => ({ Authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  before(async () => {
    server = await startServer({
      env: {
        REGISTRY_AUTH: 'htpasswd',
        REGISTRY_AUTH_HTPASSWD_PATH: 'users',
        REGISTRY_AUTH_HTPASSWD_REALM: 'the "inner" ring',
      },
    })
    await setHtpasswdUser(join(server.folder, 'users'), 'ann', 'correct horse')
    await server.app.reload()
  })
  after(() => server[Symbol.asyncDispose]())

  const guarded: readonly [method: string, path: string][] = [
    ['GET', '/v2/'],
    ['HEAD', '/v2/'],
    ['GET', '/v2/_catalog'],
    ['GET', '/v2/team/app/tags/list'],
    ['GET', '/v2/team/app/manifests/latest'],
    ['PUT', '/v2/team/app/manifests/latest'],
    ['POST', '/v2/team/app/blobs/uploads/'],
    ['DELETE', '/v2/team/app/manifests/latest'],
  ]
  for (const [method, path] of guarded)
    test(`${method} ${path} of an anonymous client is 401 with exactly one challenge`, async () => {
      const answer = await send(server, method, path)
      assert.equal(answer.status, 401)
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="the \\"inner\\" ring"')
      if (method !== 'HEAD') assert.equal(errorOf(answer).code, 'UNAUTHORIZED')
    })

  test('the challenge is one header line', async () => {
    const text = await exchange(server.port, 'GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert.equal(text.match(/^www-authenticate:/gim)?.length, 1)
  })

  test('a detail names what was wanted, as distribution does', async () => {
    const answer = await send(server, 'POST', '/v2/team/app/blobs/uploads/')
    assert.deepEqual(errorOf(answer).detail, [
      { Type: 'repository', Class: '', Name: 'team/app', Action: 'pull' },
      { Type: 'repository', Class: '', Name: 'team/app', Action: 'push' },
    ])
  })

  test('the right password opens, a wrong one does not', async () => {
    assert.equal((await send(server, 'GET', '/v2/', { headers: basic('ann:correct horse') })).status, 200)
    for (const wrong of ['ann:wrong', 'bob:correct horse', 'ann:', 'ann']) {
      const answer = await send(server, 'GET', '/v2/', { headers: basic(wrong) })
      assert.equal(answer.status, 401, wrong)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Basic realm=/)
    }
  })

  test('a refused push is told before its body is read, and the connection serves on or ends cleanly', async () => {
    const answer = await send(server, 'PUT', '/v2/team/app/manifests/latest', {
      body: Buffer.alloc(3_000_000),
    })
    assert.equal(answer.status, 401)
  })

  test('an unknown repository and a forbidden one look the same to who may not read either', async () => {
    const image = makeImage()
    const headers = basic('ann:correct horse')
    const pushed = await send(server, 'POST', `/v2/there/blobs/uploads/?digest=${image.config.digest}`, {
      headers,
      body: image.config.bytes,
    })
    assert.equal(pushed.status, 201)
    const there = await send(server, 'HEAD', `/v2/there/blobs/${image.config.digest}`)
    const absent = await send(server, 'HEAD', `/v2/absent/blobs/${image.config.digest}`)
    const shown = ({ status, headers }: typeof there) => [
      status,
      headers['www-authenticate'],
      headers['content-type'],
    ]
    assert.deepEqual(shown(there), shown(absent))
  })

  test('a session belongs to who opened it: another user does not know it', async () => {
    await setHtpasswdUser(join(server.folder, 'users'), 'bob', 'battery staple')
    await server.app.reload()
    const opened = await send(server, 'POST', '/v2/team/app/blobs/uploads/', {
      headers: basic('ann:correct horse'),
    })
    assert.equal(opened.status, 202)
    const location = opened.headers.location ?? ''
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const answer = await send(server, method, location, { headers: basic('bob:battery staple') })
      assert.equal(refusalOf(answer), '404 BLOB_UPLOAD_UNKNOWN', method)
    }
    assert.equal((await send(server, 'GET', location, { headers: basic('ann:correct horse') })).status, 204)
  })

  test('who is removed from the file is out at the next look', async () => {
    await writeFile(join(server.folder, 'users'), '')
    await server.app.reload()
    const answer = await send(server, 'GET', '/v2/', { headers: basic('ann:correct horse') })
    assert.equal(answer.status, 401)
  })

  test('a missing file is made, with one user whose password nobody knows beforehand', async () => {
    await using fresh = await startServer({
      env: { REGISTRY_AUTH: 'htpasswd', REGISTRY_AUTH_HTPASSWD_PATH: 'new/users' },
    })
    assert.equal((await send(fresh, 'GET', '/v2/')).status, 401)
    const answer = await send(fresh, 'GET', '/v2/', { headers: basic('docker:docker') })
    assert.equal(answer.status, 401)
  })
})

test("registry:2's silly lets everyone in who says anything, and names the scopes to everyone else", async () => {
  await using server = await startServer({
    env: { REGISTRY_AUTH: '{silly: {realm: "https://tokens.example/auth", service: test}}' },
  })
  const answer = await send(server, 'POST', '/v2/team/app/blobs/uploads/')
  assert.equal(answer.status, 401)
  assert.equal(
    answer.headers['www-authenticate'],
    'Bearer realm="https://tokens.example/auth",service="test",scope="repository:team/app:pull,push"',
  )
  const headers = { Authorization: 'Bearer anything' }
  assert.equal((await send(server, 'POST', '/v2/team/app/blobs/uploads/', { headers })).status, 202)
  const blob = randomContent(10)
  await assert.rejects(pushBlob(server, 'team/app', blob), /401 instead of 201/)
})
