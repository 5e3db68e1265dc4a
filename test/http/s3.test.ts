// What is peculiar to a server whose blobs lie in a bucket: redirects, a bucket that is away, and what a start wants to know.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { sweepUploads } from '#maintenance/sweep-uploads.ts'
import { digestOf } from '#oci/digest.ts'
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'
import { refusalOf, send } from './client.ts'
import { makeImage, openSession, pushBlob, pushImage, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024

describe('a server on a bucket', { skip: gatewayIsMissing() ?? false }, () => {
  let gateway: S3Gateway
  before(async () => {
    gateway = await S3Gateway.start()
  })
  after(() => gateway.stop())

  const serverOn = (bucket: string, more = {}) => startServer({ s3: gateway.storageConfig(bucket), ...more })

  describe('with redirects', () => {
    let server: TestServer
    const blob = randomContent(3000)
    before(async () => {
      server = await serverOn(gateway.newBucket(), { redirects: true })
      await pushBlob(server, 'app', blob)
    })
    after(() => server[Symbol.asyncDispose]())
    const get = (method = 'GET', headers = {}) =>
      send(server, method, `/v2/app/blobs/${blob.digest}`, { headers })

    test('a plain GET is sent to the bucket, by an address that needs no key', async () => {
      const answer = await get()
      assert.deepEqual([answer.status, answer.body.length], [307, 0])
      assert.equal(answer.headers['docker-content-digest'], blob.digest)
      const followed = await fetch(String(answer.headers.location))
      assert.deepEqual(Buffer.from(await followed.arrayBuffer()), blob.bytes)
    })

    test('HEAD, a range and a condition that holds are answered here', async () => {
      assert.deepEqual(
        [(await get('HEAD')).status, (await get('GET', { 'If-None-Match': blob.digest })).status],
        [200, 304],
      )
      const part = await get('GET', { Range: 'bytes=10-19' })
      assert.deepEqual([part.status, part.body], [206, blob.bytes.subarray(10, 20)])
    })

    test('a blob that the repository does not hold is 404, and no address', async () => {
      const elsewhere = await send(server, 'GET', `/v2/other/blobs/${blob.digest}`)
      assert.deepEqual([elsewhere.status, elsewhere.headers.location], [404, undefined])
    })
  })

  test('redirectendpoint is where clients are sent', async () => {
    await using server = await startServer({
      s3: { ...gateway.storageConfig(gateway.newBucket()), redirectendpoint: 'http://cdn.example' },
      redirects: true,
    })
    const blob = randomContent(10)
    await pushBlob(server, 'app', blob)
    const { headers } = await send(server, 'GET', `/v2/app/blobs/${blob.digest}`)
    assert.match(
      String(headers.location),
      /^http:\/\/cdn\.example\/bucket-\d+\/docker\/registry\/v2\/blobs\//,
    )
  })

  test('while the bucket is away every answer is 503 with Retry-After, and afterwards all goes on', async () => {
    await using server = await serverOn(gateway.newBucket())
    const blob = randomContent(400_000)
    await pushBlob(server, 'app', blob)
    const open = await openSession(server, 'app')
    await gateway.pause()
    try {
      for (const [method, path, body] of [
        ['GET', `/v2/app/blobs/${blob.digest}`],
        ['PATCH', open, randomBytes(1000)],
        ['POST', `/v2/app/blobs/uploads/?digest=${digestOf('x')}`, Buffer.from('x')],
        [
          'POST',
          `/v2/app/blobs/uploads/?digest=${digestOf('y'.repeat(6 * MiB))}`,
          Buffer.alloc(6 * MiB, 'y'),
        ],
        [
          'PUT',
          '/v2/app/manifests/latest',
          Buffer.from(
            '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}',
          ),
        ],
      ] as const) {
        const headers = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
        const answer = await send(server, method, path, { body, headers })
        assert.deepEqual(
          [answer.status, answer.headers['retry-after']],
          [503, '5'],
          `${method} ${answer.body}`,
        )
      }
      const ready = await send(server, 'GET', '/readyz')
      assert.equal(ready.status, 503)
    } finally {
      await gateway.resume()
    }
    const bytes = randomBytes(1000)
    assert.equal((await send(server, 'PATCH', open, { body: bytes })).status, 202)
    assert.equal((await send(server, 'PUT', `${open}?digest=${digestOf(bytes)}`)).status, 201)
    assert.deepEqual((await send(server, 'GET', `/v2/app/blobs/${blob.digest}`)).body, blob.bytes)
  })

  test('a PUT of a whole blob that breaks off leaves a session at its beginning, and no object', async () => {
    const bucket = gateway.newBucket()
    await using server = await serverOn(bucket)
    const bytes = randomBytes(12 * MiB)
    const open = await openSession(server, 'app')
    const wrong = await send(server, 'PUT', `${open}?digest=${digestOf(bytes)}`, {
      body: bytes,
      headers: { 'Content-Range': `5-${bytes.length + 4}` },
    })
    assert.equal(wrong.status, 416)
    const short = await send(server, 'PUT', `${open}?digest=${digestOf(bytes)}`, {
      body: [bytes.subarray(0, 7 * MiB)],
      headers: { 'Content-Range': `0-${bytes.length - 1}` },
    })
    assert.equal(refusalOf(short), '400 SIZE_INVALID')
    assert.equal((await send(server, 'GET', open)).headers.range, '0-0')
    assert.equal(
      (await send(server, 'PUT', `${open}?digest=${digestOf(bytes)}`, { body: bytes })).status,
      201,
    )
    assert.deepEqual((await send(server, 'GET', `/v2/app/blobs/${digestOf(bytes)}`)).body, bytes)
  })

  test('what was pushed is there after a restart, also when the facts are lost', async () => {
    const bucket = gateway.newBucket()
    const image = makeImage()
    {
      await using server = await serverOn(bucket)
      await pushImage(server, 'app', 'latest', image)
      await server.restart()
      assert.equal((await send(server, 'GET', '/v2/app/manifests/latest')).status, 200)
    }
    await using rebuilt = await serverOn(bucket)
    const manifest = await send(rebuilt, 'GET', '/v2/app/manifests/latest')
    assert.deepEqual(
      [manifest.status, manifest.headers['docker-content-digest']],
      [200, image.manifest.digest],
    )
    for (const { digest, bytes } of [image.config, ...image.layers])
      assert.deepEqual((await send(rebuilt, 'GET', `/v2/app/blobs/${digest}`)).body, bytes)
  })

  test('the sweeper drops pieces of sessions that nobody continues', async () => {
    await using server = await serverOn(gateway.newBucket())
    const open = await openSession(server, 'app')
    assert.equal((await send(server, 'PATCH', open, { body: randomBytes(6 * MiB) })).status, 202)
    const { registry } = server.app
    const later = { ...registry, now: () => Date.now() + 3_600_000 }
    assert.deepEqual(await sweepUploads(later, { ageMs: 60_000, dryRun: false }), { sessions: 1, orphans: 0 })
    for await (const { id } of registry.storage.list()) assert.fail(`${id} is left`)
  })

  for (const [what, change, says] of [
    ['does not exist', { bucket: 'nobody-made-this' }, /does not exist: create it/],
    ['is not ours', { secretkey: 'wrong' }, /is not open to these keys/],
    ['does not answer', { regionendpoint: 'http://127.0.0.1:1' }, /cannot be reached: .*ECONNREFUSED/],
  ] as const)
    test(`a start on a bucket that ${what} says so`, async () => {
      const s3 = { ...gateway.storageConfig(gateway.newBucket()), ...change }
      await assert.rejects(startServer({ s3 }), says)
    })

  test('two servers on one file of facts are one too many', async () => {
    const bucket = gateway.newBucket()
    await using first = await serverOn(bucket)
    await assert.rejects(serverOn(bucket, { folder: first.folder }), /facts/)
  })
})
