// Which methods an endpoint knows, and how every refusal that a client can provoke looks.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ERRORS, type ErrorReason } from '#oci/errors.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { errorOf, json, send } from './client.ts'
import { makeImage, openSession, pushBlob, pushImage, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const ENDPOINTS: readonly [path: string, allow: readonly string[]][] = [
  ['/v2/', ['GET', 'HEAD']],
  ['/v2/_catalog', ['GET', 'HEAD']],
  ['/v2/a/b/tags/list', ['GET', 'HEAD']],
  ['/v2/a/b/manifests/latest', ['GET', 'HEAD', 'PUT', 'DELETE']],
  [`/v2/a/b/manifests/${DIGEST}`, ['GET', 'HEAD', 'PUT', 'DELETE']],
  [`/v2/a/b/blobs/${DIGEST}`, ['GET', 'HEAD', 'DELETE']],
  [`/v2/a/b/referrers/${DIGEST}`, ['GET', 'HEAD']],
  ['/v2/a/b/blobs/uploads/', ['POST']],
  ['/v2/a/b/blobs/uploads', ['POST']],
  ['/v2/a/b/blobs/uploads/some-id', ['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE']],
]
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']

let server: TestServer
before(async () => {
  server = await startServer({ env: { REGISTRY_HTTP_LIMITS_MAXOPENUPLOADS: '3' } })
})
after(() => server[Symbol.asyncDispose]())

describe('a method that an endpoint does not know is 405 and told which are allowed', () => {
  for (const [path, allow] of ENDPOINTS)
    test(path, async () => {
      for (const method of METHODS.filter((one) => !allow.includes(one))) {
        const answer = await send(server, method, path)
        assert.equal(answer.status, 405, method)
        assert.equal(answer.headers.allow, allow.join(', '), method)
        if (method === 'HEAD') assert.equal(answer.body.length, 0)
        else assert.equal(errorOf(answer).code, 'UNSUPPORTED', method)
      }
    })

  test('the allowed ones are not', async () => {
    for (const [path, allow] of ENDPOINTS)
      for (const method of allow) {
        const answer = await send(server, method, path)
        assert.notEqual(answer.status, 405, `${method} ${path}`)
        if (answer.status === 202) await send(server, 'DELETE', answer.headers.location ?? '')
      }
  })
})

describe('each refusal is the envelope of the specification, with code, status, message and detail', () => {
  interface Provocation {
    readonly reason: ErrorReason
    readonly method: string
    readonly path: string | (() => Promise<string>)
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string | Buffer
  }
  const session = (query: string) => async () => {
    const location = await openSession(server, 'errors')
    return location + query
  }
  const provocations: readonly Provocation[] = [
    { reason: 'DIGEST_MALFORMED', method: 'GET', path: '/v2/errors/blobs/sha256:abc' },
    {
      reason: 'DIGEST_MALFORMED',
      method: 'PUT',
      path: '/v2/errors/manifests/sha256:baddigeststring',
      body: '{}',
    },
    {
      reason: 'DIGEST_MISMATCH',
      method: 'POST',
      path: `/v2/errors/blobs/uploads/?digest=${DIGEST}`,
      body: 'not that',
    },
    { reason: 'DIGEST_MISMATCH', method: 'PUT', path: `/v2/errors/manifests/${DIGEST}`, body: '{}' },
    { reason: 'DIGEST_MISSING', method: 'PUT', path: session('') },
    {
      reason: 'ALGORITHM_UNSUPPORTED',
      method: 'POST',
      path: '/v2/errors/blobs/uploads/?digest-algorithm=md5',
    },
    {
      reason: 'SIZE_MISMATCH',
      method: 'PATCH',
      path: session(''),
      headers: { 'Content-Range': '0-99' },
      body: 'ten bytes!',
    },
    { reason: 'NAME_INVALID', method: 'GET', path: '/v2/Upper/tags/list' },
    { reason: 'TAG_INVALID', method: 'GET', path: '/v2/errors/manifests/-dash' },
    {
      reason: 'MANIFEST_INVALID',
      method: 'PUT',
      path: '/v2/errors/manifests/a',
      headers: { 'Content-Type': OCI_MANIFEST },
      body: '{}',
    },
    {
      reason: 'MANIFEST_TOO_LARGE',
      method: 'PUT',
      path: '/v2/errors/manifests/a',
      body: Buffer.alloc(4 * 1024 * 1024 + 1, ' '),
    },
    {
      reason: 'MANIFEST_BLOB_UNKNOWN',
      method: 'PUT',
      path: '/v2/errors/manifests/a',
      headers: { 'Content-Type': OCI_MANIFEST },
      body: makeImage().manifest.bytes,
    },
    { reason: 'PAGINATION_INVALID', method: 'GET', path: '/v2/_catalog?n=-1' },
    { reason: 'REQUEST_INVALID', method: 'PUT', path: '/v2/errors/manifests/a?tag=b', body: '{}' },
    { reason: 'NAME_UNKNOWN', method: 'GET', path: '/v2/nobody/tags/list' },
    { reason: 'MANIFEST_UNKNOWN', method: 'GET', path: '/v2/errors/manifests/nothing' },
    { reason: 'BLOB_UNKNOWN', method: 'GET', path: `/v2/errors/blobs/${DIGEST}` },
    { reason: 'BLOB_UPLOAD_UNKNOWN', method: 'PATCH', path: '/v2/errors/blobs/uploads/nothing', body: 'x' },
    { reason: 'ROUTE_UNKNOWN', method: 'GET', path: '/v2/errors/nothing/here' },
    { reason: 'METHOD_UNSUPPORTED', method: 'POST', path: '/v2/_catalog' },
    {
      reason: 'UPLOAD_OUT_OF_ORDER',
      method: 'PATCH',
      path: session(''),
      headers: { 'Content-Range': '5-6' },
      body: 'ab',
    },
    {
      reason: 'RANGE_INVALID',
      method: 'PATCH',
      path: session(''),
      headers: { 'Content-Range': 'nonsense' },
      body: 'ab',
    },
  ]
  for (const { reason, method, path, headers, body } of provocations)
    test(`${reason} of ${method} ${typeof path === 'string' ? path.slice(0, 60) : 'an upload'}`, async () => {
      const target = typeof path === 'string' ? path : await path()
      const answer = await send(server, method, target, { ...(headers && { headers }), body })
      const entry = errorOf(answer)
      assert.deepEqual([answer.status, entry.code], [ERRORS[reason].status, ERRORS[reason].code])
      assert.ok(entry.message.length > 20, entry.message)
      assert.equal(answer.headers['content-type'], 'application/json')
      assert.ok(answer.headers['x-request-id'])
      if (typeof path !== 'string') await send(server, 'DELETE', target)
    })

  test('TOO_MANY_UPLOADS says when to come back, and one that ends makes room', async () => {
    const open = [
      await openSession(server, 'errors'),
      await openSession(server, 'errors'),
      await openSession(server, 'errors'),
    ]
    const refused = await send(server, 'POST', '/v2/errors/blobs/uploads/')
    assert.deepEqual([refused.status, errorOf(refused).code], [429, 'TOOMANYREQUESTS'])
    assert.ok(Number(refused.headers['retry-after']) > 0)
    await send(server, 'DELETE', open[0] ?? '')
    open[0] = await openSession(server, 'errors')
    for (const location of open) await send(server, 'DELETE', location)
  })

  test('a whole blob in one request needs no session, so the limit of open ones does not stop it', async () => {
    const open = [
      await openSession(server, 'errors'),
      await openSession(server, 'errors'),
      await openSession(server, 'errors'),
    ]
    await pushBlob(server, 'errors', randomContent(10))
    for (const location of open) await send(server, 'DELETE', location)
  })

  test('a HEAD that is refused has the headers of the refusal and no body', async () => {
    for (const path of [`/v2/errors/blobs/${DIGEST}`, '/v2/errors/manifests/nothing', '/v2/NO/manifests/a']) {
      const answer = await send(server, 'HEAD', path)
      assert.ok(answer.status === 404 || answer.status === 400, path)
      assert.equal(answer.body.length, 0)
      assert.ok(Number(answer.headers['content-length']) > 0)
    }
  })
})

test('GET and HEAD of lists differ in the body alone', async () => {
  await pushImage(server, 'lists', 'a', makeImage())
  for (const path of ['/v2/lists/tags/list', '/v2/_catalog', `/v2/lists/referrers/${DIGEST}`]) {
    const [get, head] = [await send(server, 'GET', path), await send(server, 'HEAD', path)]
    assert.equal(head.headers['content-length'], get.headers['content-length'])
    assert.equal(head.headers['content-type'], get.headers['content-type'])
    assert.equal(head.body.length, 0)
    assert.ok(json(get))
  }
})
