// Things that happen at the same time, each with an outcome that is defined.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { OCI_INDEX } from '#oci/media-types.ts'
import { begin, collect, responseTo, send } from './client.ts'
import {
  type Content,
  expectStatus,
  makeImage,
  makeIndex,
  openSession,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { filesBelow, startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024
let server: TestServer
before(async () => {
  server = await startServer({ onDisk: true })
})
after(() => server[Symbol.asyncDispose]())

const blobFiles = async () =>
  (await filesBelow(server.root)).filter((file) => /\/blobs\/sha256\/.*\/data$/.test(file))
const uploadFiles = async () =>
  (await filesBelow(server.root)).filter((file) => file.includes('/stowage/uploads/'))
const times = <T>(count: number, work: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)))

test('two pushes of one tag at once: both are taken, one has the tag, both manifests are there', async () => {
  for (let round = 0; round < 10; round++) {
    const indexes = [0, 1].map((side) =>
      makeIndex([], { annotations: { round: String(round), side: String(side) } }),
    )
    const answers = await Promise.all(
      indexes.map(({ bytes }) => putManifest(server, 'race/tag', 'latest', bytes, OCI_INDEX)),
    )
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201],
    )
    const latest = await send(server, 'GET', '/v2/race/tag/manifests/latest')
    assert.ok(indexes.some(({ bytes }) => bytes.equals(latest.body)))
    for (const { digest } of indexes)
      assert.equal((await send(server, 'HEAD', `/v2/race/tag/manifests/${digest}`)).status, 200)
  }
})

describe('the same blob pushed by 20 clients at once', () => {
  const ways: readonly [how: string, push: (content: Content, client: number) => Promise<number>][] = [
    [
      'in one request each',
      async ({ bytes, digest }, client) =>
        (
          await send(server, 'POST', `/v2/race/same${client % 3}/blobs/uploads/?digest=${digest}`, {
            body: bytes,
          })
        ).status,
    ],
    [
      'in sessions',
      async ({ bytes, digest }, client) => {
        const location = await openSession(server, `race/same${client % 3}`)
        await send(server, 'PATCH', location, { body: bytes })
        return (await send(server, 'PUT', `${location}?digest=${digest}`)).status
      },
    ],
  ]
  for (const [how, push] of ways)
    test(`${how} is 201 for all, one file, and the right bytes`, async () => {
      const content = randomContent(MiB)
      const files = (await blobFiles()).length
      assert.deepEqual(new Set(await times(20, (client) => push(content, client))), new Set([201]))
      assert.equal((await blobFiles()).length, files + 1)
      assert.deepEqual(await uploadFiles(), [])
      for (let side = 0; side < 3; side++) {
        const pulled = await send(server, 'GET', `/v2/race/same${side}/blobs/${content.digest}`)
        assert.ok(pulled.body.equals(content.bytes))
      }
    })
})

test('a blob that is deleted during its pull is pulled to the end, and gone for the next', async () => {
  const large = randomContent(24 * MiB)
  await pushBlob(server, 'race/pull', large)
  const pull = begin(server, 'GET', `/v2/race/pull/blobs/${large.digest}`)
  const responded = responseTo(pull)
  pull.end()
  const response = await responded
  response.once('readable', () => {})
  await once(response, 'readable')
  expectStatus(await send(server, 'DELETE', `/v2/race/pull/blobs/${large.digest}`), 202)
  assert.ok((await collect(response)).body.equals(large.bytes))
  assert.equal((await send(server, 'GET', `/v2/race/pull/blobs/${large.digest}`)).status, 404)
})

test('a mount while its source is deleted is either a blob that can be pulled, or a session', async () => {
  for (let round = 0; round < 20; round++) {
    const blob = randomContent(100)
    await pushBlob(server, 'race/source', blob)
    const [mount, deleted] = await Promise.all([
      send(server, 'POST', `/v2/race/target/blobs/uploads/?mount=${blob.digest}&from=race/source`),
      send(server, 'DELETE', `/v2/race/source/blobs/${blob.digest}`),
    ])
    assert.equal(deleted.status, 202)
    assert.ok([201, 202].includes(mount.status))
    const pulled = await send(server, 'GET', `/v2/race/target/blobs/${blob.digest}`)
    assert.equal(pulled.status, mount.status === 201 ? 200 : 404)
    if (mount.status === 202) await send(server, 'DELETE', String(mount.headers.location))
  }
})

test('a push of a manifest while its blob is deleted never leaves a tag without a manifest', async () => {
  for (let round = 0; round < 10; round++) {
    const image = makeImage()
    for (const content of [image.config, ...image.layers]) await pushBlob(server, 'race/manifest', content)
    const [put] = await Promise.all([
      putManifest(server, 'race/manifest', `t${round}`, image.manifest.bytes),
      send(server, 'DELETE', `/v2/race/manifest/blobs/${image.config.digest}`),
    ])
    assert.ok([201, 404].includes(put.status), String(put.status))
    const pulled = await send(server, 'GET', `/v2/race/manifest/manifests/t${round}`)
    assert.equal(pulled.status, put.status === 201 ? 200 : 404)
  }
})

test('a delete and a push of one tag at once leave it pointing at the push, or gone', async () => {
  const index = makeIndex([], { annotations: { race: 'delete and push' } })
  for (let round = 0; round < 10; round++) {
    expectStatus(await putManifest(server, 'race/both', 'a', index.bytes, OCI_INDEX), 201)
    const [deleted, put] = await Promise.all([
      send(server, 'DELETE', '/v2/race/both/manifests/a'),
      putManifest(server, 'race/both', 'a', index.bytes, OCI_INDEX),
    ])
    assert.deepEqual([deleted.status, put.status], [202, 201])
    assert.ok([200, 404].includes((await send(server, 'GET', '/v2/race/both/manifests/a')).status))
    assert.equal((await send(server, 'HEAD', `/v2/race/both/manifests/${index.digest}`)).status, 200)
  }
})

test('two closes of one session at once: one makes the blob, the other is refused', async () => {
  for (let round = 0; round < 5; round++) {
    const blob = randomContent(50_000)
    const location = await openSession(server, 'race/close')
    await send(server, 'PATCH', location, { body: blob.bytes })
    const statuses = (await times(2, () => send(server, 'PUT', `${location}?digest=${blob.digest}`))).map(
      ({ status }) => status,
    )
    assert.ok(statuses.includes(201), String(statuses))
    for (const status of statuses) assert.ok([201, 404, 409].includes(status), String(statuses))
    assert.ok((await send(server, 'GET', `/v2/race/close/blobs/${blob.digest}`)).body.equals(blob.bytes))
  }
})

test('50 images pushed at once are all there', async () => {
  const images = Array.from({ length: 50 }, () => makeImage())
  await Promise.all(
    images.map((image, number) => pushImage(server, `race/many${number % 5}`, `v${number}`, image)),
  )
  for (const [number, image] of images.entries()) {
    const pulled = await send(server, 'GET', `/v2/race/many${number % 5}/manifests/v${number}`)
    assert.ok(pulled.body.equals(image.manifest.bytes))
  }
  assert.deepEqual(server.log.of('error'), [])
})
