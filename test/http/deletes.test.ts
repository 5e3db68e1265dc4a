// Deleting turned off, a read-only registry, and that neither stops what it should not.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { errorOf, refusalOf, send } from './client.ts'
import { makeImage, openSession, pushBlob, pushImage, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

describe('CVE-2026-41888: with deleting turned off', () => {
  let server: TestServer
  const image = makeImage()
  before(async () => {
    server = await startServer({ env: { REGISTRY_STORAGE_DELETE_ENABLED: 'false' } })
    await pushImage(server, 'app', 'v1', image)
  })
  after(() => server[Symbol.asyncDispose]())

  const targets: readonly [what: string, path: string][] = [
    ['a tag', '/v2/app/manifests/v1'],
    ['a manifest', `/v2/app/manifests/${image.manifest.digest}`],
    ['a blob', `/v2/app/blobs/${image.config.digest}`],
    ['a tag that is not there', '/v2/app/manifests/nothing'],
    ['a blob of a repository that is not there', `/v2/nobody/blobs/${image.config.digest}`],
  ]
  for (const [what, path] of targets)
    test(`DELETE of ${what} is 405, and says which setting allows it`, async () => {
      const answer = await send(server, 'DELETE', path)
      assert.equal(refusalOf(answer), '405 UNSUPPORTED')
      assert.match(errorOf(answer).message, /storage\.delete\.enabled/)
    })

  test('everything is still there', async () => {
    for (const [, path] of targets.slice(0, 3)) assert.equal((await send(server, 'GET', path)).status, 200)
  })

  test('an upload can be cancelled', async () => {
    const location = await openSession(server, 'app')
    assert.equal((await send(server, 'DELETE', location)).status, 204)
    assert.equal((await send(server, 'GET', location)).status, 404)
  })
})

test('a file that does not name storage.delete leaves deleting off, as in registry:2', async () => {
  await using server = await startServer({ env: { REGISTRY_STORAGE: 'inmemory', REGISTRY_DATABASE_URL: '' } })
  assert.equal(refusalOf(await send(server, 'DELETE', '/v2/app/manifests/v1')), '405 UNSUPPORTED')
})

test('a read-only registry serves, and refuses every write with 405', async () => {
  const image = makeImage()
  await using server = await startServer({ onDisk: true })
  await pushImage(server, 'app', 'v1', image)
  await pushBlob(server, 'app', randomContent(10))
  const location = await openSession(server, 'app')
  await server.restart({ REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled": true}' })
  for (const path of [
    '/v2/app/manifests/v1',
    `/v2/app/blobs/${image.config.digest}`,
    '/v2/app/tags/list',
    '/v2/_catalog',
  ])
    assert.equal((await send(server, 'GET', path)).status, 200)
  const { digest, bytes } = randomContent(10)
  const writes: readonly [method: string, path: string, body?: Buffer][] = [
    ['POST', '/v2/app/blobs/uploads/'],
    ['POST', `/v2/app/blobs/uploads/?digest=${digest}`, bytes],
    ['POST', `/v2/other/blobs/uploads/?mount=${image.config.digest}&from=app`],
    ['PATCH', location, bytes],
    ['PUT', `${location}?digest=${digest}`, bytes],
    ['DELETE', '/v2/app/manifests/v1'],
    ['DELETE', `/v2/app/blobs/${image.config.digest}`],
  ]
  for (const [method, path, body] of writes)
    assert.equal(
      refusalOf(await send(server, method, path, { body })),
      '405 UNSUPPORTED',
      `${method} ${path}`,
    )
  const put = await send(server, 'PUT', '/v2/app/manifests/v2', {
    headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    body: image.manifest.bytes,
  })
  assert.equal(refusalOf(put), '405 UNSUPPORTED')
  assert.equal((await send(server, 'HEAD', '/v2/app/manifests/v2')).status, 404)
})
