// Pushes by digest with tags in the query, and content that is named by sha512.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { json, refusalOf, send } from './client.ts'
import {
  type Content,
  contentOf,
  descriptorOf,
  expectStatus,
  LAYER,
  makeImage,
  makeIndex,
  pushBlob,
  putManifest,
  randomContent,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

let server: TestServer
before(async () => {
  server = await startServer()
})
after(() => server[Symbol.asyncDispose]())

const sha512 = (content: Content): Content => ({
  bytes: content.bytes,
  digest: digestOf(content.bytes, 'sha512'),
})

describe('PUT of a manifest by digest with ?tag=', () => {
  test('sets every tag, and says which in OCI-Tag', async () => {
    const index = makeIndex([], { annotations: { of: 'many tags' } })
    const tags = Array.from({ length: 12 }, (_, number) => `t${number}`)
    const answer = await putManifest(
      server,
      'tags/many',
      `${index.digest}?${tags.map((tag) => `tag=${tag}`).join('&')}`,
      index.bytes,
      OCI_INDEX,
    )
    assert.equal(answer.status, 201)
    assert.deepEqual(String(answer.headers['oci-tag']).split(', '), tags)
    assert.equal(answer.headers['docker-content-digest'], index.digest)
    for (const tag of tags) {
      const pulled = await send(server, 'HEAD', `/v2/tags/many/manifests/${tag}`)
      assert.equal(pulled.headers['docker-content-digest'], index.digest)
    }
  })

  test('binds a tag to the sha512 that it was pushed by', async () => {
    const index = sha512(makeIndex([], { annotations: { by: 'sha512' } }))
    const answer = await putManifest(server, 'tags/long', `${index.digest}?tag=a`, index.bytes, OCI_INDEX)
    assert.deepEqual([answer.status, answer.headers['oci-tag']], [201, 'a'])
    for (const reference of ['a', index.digest])
      for (const method of ['GET', 'HEAD']) {
        const pulled = await send(server, method, `/v2/tags/long/manifests/${reference}`)
        assert.equal(pulled.headers['docker-content-digest'], index.digest)
      }
  })

  test('one tag twice is one tag', async () => {
    const index = makeIndex([], { annotations: { of: 'one tag' } })
    const answer = await putManifest(
      server,
      'tags/twice',
      `${index.digest}?tag=a&tag=a`,
      index.bytes,
      OCI_INDEX,
    )
    assert.equal(answer.headers['oci-tag'], 'a')
  })

  const refused: readonly [query: string, refusal: string][] = [
    ['?tag=good&tag=-bad', '400 TAG_INVALID'],
    ['?tag=', '400 TAG_INVALID'],
    [`?tag=${'x'.repeat(129)}`, '400 TAG_INVALID'],
    [`?${Array.from({ length: 101 }, (_, number) => `tag=t${number}`).join('&')}`, '400 UNSUPPORTED'],
  ]
  for (const [query, refusal] of refused)
    test(`${query.slice(0, 40)} is refused, and no tag of it is set`, async () => {
      const index = makeIndex([], { annotations: { refused: query } })
      const answer = await putManifest(server, 'tags/refused', index.digest + query, index.bytes, OCI_INDEX)
      assert.equal(refusalOf(answer), refusal)
      assert.equal((await send(server, 'GET', '/v2/tags/refused/tags/list')).status, 404)
    })

  test('goes with a digest only: a tag in the path and others in the query contradict each other', async () => {
    const index = makeIndex([])
    const answer = await putManifest(server, 'tags/both', 'a?tag=b', index.bytes, OCI_INDEX)
    assert.equal(refusalOf(answer), '400 UNSUPPORTED')
  })
})

describe('a tree named by sha512 throughout', () => {
  const config = sha512(contentOf('{"architecture":"amd64","os":"linux"}'))
  const layer = sha512(randomContent(5_000))
  const manifest = sha512(
    contentOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: descriptorOf(config, OCI_CONFIG),
        layers: [descriptorOf(layer, LAYER)],
      }),
    ),
  )
  const index = sha512(makeIndex([descriptorOf(manifest, OCI_MANIFEST)]))

  test('is pushed and pulled by those digests', async () => {
    await pushBlob(server, 'long', config)
    await pushBlob(server, 'long', layer)
    expectStatus(await putManifest(server, 'long', manifest.digest, manifest.bytes), 201)
    expectStatus(await putManifest(server, 'long', index.digest, index.bytes, OCI_INDEX), 201)
    for (const content of [config, layer]) {
      const pulled = await send(server, 'GET', `/v2/long/blobs/${content.digest}`)
      assert.equal(pulled.headers['docker-content-digest'], content.digest)
      assert.deepEqual(pulled.body, content.bytes)
    }
    for (const content of [manifest, index]) {
      const pulled = await send(server, 'GET', `/v2/long/manifests/${content.digest}`)
      assert.equal(pulled.headers['docker-content-digest'], content.digest)
      assert.deepEqual(pulled.body, content.bytes)
    }
  })

  test('has a blob under its sha256 too, since the bytes are stored once under that', async () => {
    const short = digestOf(layer.bytes)
    const pulled = await send(server, 'GET', `/v2/long/blobs/${short}`)
    assert.deepEqual([pulled.status, pulled.headers['docker-content-digest']], [200, short])
  })

  test('a tag in the path gets the canonical sha256', async () => {
    const answer = await putManifest(server, 'long', 'by-tag', manifest.bytes)
    assert.equal(answer.headers['docker-content-digest'], digestOf(manifest.bytes))
  })

  test('is mounted, deleted and gone by the same names', async () => {
    const mounted = await send(
      server,
      'POST',
      `/v2/long-mounted/blobs/uploads/?mount=${layer.digest}&from=long`,
    )
    assert.deepEqual([mounted.status, mounted.headers['docker-content-digest']], [201, layer.digest])
    expectStatus(await send(server, 'DELETE', `/v2/long/blobs/${layer.digest}`), 202)
    assert.equal((await send(server, 'HEAD', `/v2/long/blobs/${layer.digest}`)).status, 404)
    assert.equal((await send(server, 'HEAD', `/v2/long/blobs/${digestOf(layer.bytes)}`)).status, 404)
    assert.equal((await send(server, 'HEAD', `/v2/long-mounted/blobs/${layer.digest}`)).status, 200)
    expectStatus(await send(server, 'DELETE', `/v2/long/manifests/${index.digest}`), 202)
    assert.equal((await send(server, 'HEAD', `/v2/long/manifests/${index.digest}`)).status, 404)
  })

  test('a wrong sha512 is 400 and names the right one', async () => {
    const wrong = digestOf('wrong', 'sha512')
    const answer = await send(server, 'POST', `/v2/long/blobs/uploads/?digest=${wrong}`, {
      body: 'other bytes',
    })
    assert.equal(refusalOf(answer), '400 DIGEST_INVALID')
    assert.ok(answer.body.includes(digestOf('other bytes', 'sha512')))
  })
})

test('the same manifest by both algorithms is two names for one content', async () => {
  const image = makeImage()
  for (const content of [image.config, ...image.layers]) await pushBlob(server, 'two-names', content)
  const long = digestOf(image.manifest.bytes, 'sha512')
  expectStatus(await putManifest(server, 'two-names', 'short', image.manifest.bytes), 201)
  expectStatus(await putManifest(server, 'two-names', `${long}?tag=long`, image.manifest.bytes), 201)
  const digestOfTag = async (tag: string) =>
    (await send(server, 'HEAD', `/v2/two-names/manifests/${tag}`)).headers['docker-content-digest']
  assert.deepEqual([await digestOfTag('short'), await digestOfTag('long')], [image.manifest.digest, long])
  expectStatus(await send(server, 'DELETE', `/v2/two-names/manifests/${long}`), 202)
  assert.deepEqual(json(await send(server, 'GET', '/v2/two-names/tags/list')), {
    name: 'two-names',
    tags: ['short'],
  })
  assert.equal(await digestOfTag('short'), image.manifest.digest)
})
