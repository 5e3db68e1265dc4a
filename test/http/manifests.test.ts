// Manifests: pushed and pulled by tag and digest, not sent again to who has them, deleted.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { errorOf, json, refusalOf, send } from './client.ts'
import {
  contentOf,
  descriptorOf,
  expectStatus,
  type Image,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

let server: TestServer
let image: Image
const url = (reference: string) => `/v2/team/app/manifests/${reference}`
before(async () => {
  server = await startServer()
  image = makeImage()
  await pushImage(server, 'team/app', 'v1', image)
})
after(() => server[Symbol.asyncDispose]())

describe('a pull', () => {
  for (const method of ['GET', 'HEAD'])
    for (const by of ['tag', 'digest'])
      test(`${method} by ${by} has the exact type, length and digest`, async () => {
        const answer = await send(server, method, url(by === 'tag' ? 'v1' : image.manifest.digest))
        assert.equal(answer.status, 200)
        assert.equal(answer.headers['content-type'], OCI_MANIFEST)
        assert.equal(answer.headers['content-length'], String(image.manifest.bytes.length))
        assert.equal(answer.headers['docker-content-digest'], image.manifest.digest)
        assert.equal(answer.headers.etag, `"${image.manifest.digest}"`)
        assert.deepEqual(answer.body, method === 'GET' ? image.manifest.bytes : Buffer.alloc(0))
      })

  const accepts = [
    undefined,
    OCI_MANIFEST,
    DOCKER_MANIFEST,
    'text/html',
    '*/*;q=0.1',
    [DOCKER_LIST, OCI_INDEX],
    `${DOCKER_LIST}, ${OCI_INDEX}`,
    'nonsense',
    '',
  ]
  for (const accept of accepts)
    for (const reference of ['v1', 'digest'])
      test(`Accept ${JSON.stringify(accept)} never hides what is there, by ${reference}`, async () => {
        const answer = await send(server, 'GET', url(reference === 'v1' ? 'v1' : image.manifest.digest), {
          headers: accept === undefined ? {} : { Accept: accept },
        })
        assert.deepEqual([answer.status, answer.headers['content-type']], [200, OCI_MANIFEST])
      })

  test('who has it is told so, whatever the form of If-None-Match', async () => {
    const { digest } = image.manifest
    for (const known of [`"${digest}"`, digest, `W/"${digest}"`, `"sha256:other", "${digest}"`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await send(server, method, url('v1'), { headers: { 'If-None-Match': known } })
        assert.equal(answer.status, 304, known)
        assert.equal(answer.body.length, 0)
        assert.equal(answer.headers['content-length'], undefined)
        assert.equal(answer.headers['transfer-encoding'], undefined)
        assert.equal(answer.headers.etag, `"${digest}"`)
      }
    }
  })

  test('who has another one gets it', async () => {
    for (const known of [`"${digestOf('other')}"`, '"v1"', '']) {
      const answer = await send(server, 'GET', url('v1'), { headers: { 'If-None-Match': known } })
      assert.deepEqual([answer.status, answer.body.length], [200, image.manifest.bytes.length])
    }
  })

  test('what is not there is 404, by tag, by digest and in another repository', async () => {
    for (const path of [
      url('v2'),
      url(digestOf('nothing')),
      '/v2/team/other/manifests/v1',
      `/v2/team/other/manifests/${image.manifest.digest}`,
    ]) {
      assert.equal(refusalOf(await send(server, 'GET', path)), '404 MANIFEST_UNKNOWN')
      assert.equal((await send(server, 'HEAD', path)).status, 404)
    }
  })
})

describe('a push', () => {
  test('answers where the manifest is, and that serves its exact bytes', async () => {
    const made = makeImage()
    for (const content of [made.config, ...made.layers]) await pushBlob(server, 'team/app', content)
    const answer = await putManifest(server, 'team/app', 'pushed', made.manifest.bytes)
    assert.equal(answer.status, 201)
    assert.equal(answer.headers.location, url(made.manifest.digest))
    assert.equal(answer.headers['docker-content-digest'], made.manifest.digest)
    assert.equal(answer.headers['content-length'], '0')
    assert.equal(answer.headers['oci-subject'], undefined)
    assert.deepEqual((await send(server, 'GET', url(made.manifest.digest))).body, made.manifest.bytes)
  })

  test('by digest makes no tag', async () => {
    const made = makeImage()
    await pushImage(server, 'team/untagged', made.manifest.digest, made)
    assert.deepEqual(json(await send(server, 'GET', '/v2/team/untagged/tags/list')), {
      name: 'team/untagged',
      tags: [],
    })
  })

  test('without a length, in chunks, is taken like any other', async () => {
    const made = makeImage()
    for (const content of [made.config, ...made.layers]) await pushBlob(server, 'team/app', content)
    const half = made.manifest.bytes.length >> 1
    const answer = await send(server, 'PUT', url('chunked'), {
      headers: { 'Content-Type': OCI_MANIFEST },
      body: [made.manifest.bytes.subarray(0, half), made.manifest.bytes.subarray(half)],
    })
    assert.deepEqual([answer.status, answer.headers['docker-content-digest']], [201, made.manifest.digest])
  })

  test('again is 201 again, and a tag that is pushed again points at the newer manifest', async () => {
    const [first, second] = [makeImage(), makeImage()]
    await pushImage(server, 'team/moving', 'latest', first)
    await pushImage(server, 'team/moving', 'latest', first)
    await pushImage(server, 'team/moving', 'latest', second)
    const now = await send(server, 'HEAD', '/v2/team/moving/manifests/latest')
    assert.equal(now.headers['docker-content-digest'], second.manifest.digest)
    assert.equal(
      (await send(server, 'HEAD', `/v2/team/moving/manifests/${first.manifest.digest}`)).status,
      200,
    )
  })

  test('under a digest that the body does not have is 400, names both, and stores nothing', async () => {
    const wrong = digestOf('wrong')
    const answer = await putManifest(server, 'team/app', wrong, image.manifest.bytes)
    assert.equal(refusalOf(answer), '400 DIGEST_INVALID')
    assert.deepEqual(errorOf(answer).detail, { claimed: wrong, actual: image.manifest.digest })
    assert.equal((await send(server, 'HEAD', url(wrong))).status, 404)
  })

  const types: readonly [mediaType: string, body: string][] = [
    ['application/vnd.example.thing.v1+json', '{"anything": [1, 2, 3]}'],
    ['application/json', '{"mediaType": "application/json"}'],
    [OCI_INDEX, makeIndex([]).bytes.toString()],
    [DOCKER_LIST, `{"schemaVersion":2,"mediaType":"${DOCKER_LIST}","manifests":[]}`],
  ]
  for (const [mediaType, body] of types)
    test(`of ${mediaType} comes back with that type and byte for byte`, async () => {
      expectStatus(await putManifest(server, 'team/types', 'a', body, mediaType), 201)
      const answer = await send(server, 'GET', '/v2/team/types/manifests/a')
      assert.deepEqual([answer.headers['content-type'], answer.body.toString()], [mediaType, body])
    })

  test('parameters of the Content-Type are not part of the type', async () => {
    const index = makeIndex([], { annotations: { made: 'with parameters' } })
    expectStatus(
      await putManifest(server, 'team/types', 'b', index.bytes, `${OCI_INDEX}; charset=utf-8`),
      201,
    )
    assert.equal(
      (await send(server, 'HEAD', '/v2/team/types/manifests/b')).headers['content-type'],
      OCI_INDEX,
    )
  })

  test('without a Content-Type goes by the mediaType of the body', async () => {
    const index = makeIndex([], { annotations: { made: 'without a type' } })
    const answer = await send(server, 'PUT', '/v2/team/types/manifests/c', { body: index.bytes })
    expectStatus(answer, 201)
    assert.equal(
      (await send(server, 'HEAD', '/v2/team/types/manifests/c')).headers['content-type'],
      OCI_INDEX,
    )
  })

  test('of nested indexes works from the inside out', async () => {
    await pushImage(server, 'team/nested', image.manifest.digest, image)
    const inner = makeIndex([descriptorOf(image.manifest, OCI_MANIFEST)])
    const outer = makeIndex([descriptorOf(inner, OCI_INDEX)])
    const early = await putManifest(server, 'team/nested', 'outer', outer.bytes, OCI_INDEX)
    assert.equal(refusalOf(early), '404 MANIFEST_BLOB_UNKNOWN')
    expectStatus(await putManifest(server, 'team/nested', inner.digest, inner.bytes, OCI_INDEX), 201)
    expectStatus(await putManifest(server, 'team/nested', 'outer', outer.bytes, OCI_INDEX), 201)
  })

  test('of a Docker image and list is taken as OCI ones are', async () => {
    const docker = makeImage(undefined, { mediaType: DOCKER_MANIFEST })
    for (const content of [docker.config, ...docker.layers]) await pushBlob(server, 'team/docker', content)
    expectStatus(await putManifest(server, 'team/docker', 'one', docker.manifest.bytes, DOCKER_MANIFEST), 201)
    const list = contentOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: DOCKER_LIST,
        manifests: [descriptorOf(docker.manifest, DOCKER_MANIFEST)],
      }),
    )
    expectStatus(await putManifest(server, 'team/docker', 'all', list.bytes, DOCKER_LIST), 201)
  })
})

describe('a delete', () => {
  test('of a tag leaves the manifest and its other tags', async () => {
    const made = makeImage()
    await pushImage(server, 'del/tag', 'a', made)
    await pushImage(server, 'del/tag', 'b', made)
    const answer = await send(server, 'DELETE', '/v2/del/tag/manifests/a')
    assert.deepEqual([answer.status, answer.body.length], [202, 0])
    assert.equal((await send(server, 'HEAD', '/v2/del/tag/manifests/a')).status, 404)
    assert.equal((await send(server, 'HEAD', '/v2/del/tag/manifests/b')).status, 200)
    assert.equal((await send(server, 'HEAD', `/v2/del/tag/manifests/${made.manifest.digest}`)).status, 200)
  })

  test('of a manifest removes its tags, and leaves other manifests and the blobs', async () => {
    const [made, kept] = [makeImage(), makeImage()]
    await pushImage(server, 'del/manifest', 'a', made)
    await pushImage(server, 'del/manifest', 'b', made)
    await pushImage(server, 'del/manifest', 'kept', kept)
    expectStatus(await send(server, 'DELETE', `/v2/del/manifest/manifests/${made.manifest.digest}`), 202)
    for (const gone of ['a', 'b', made.manifest.digest])
      assert.equal((await send(server, 'GET', `/v2/del/manifest/manifests/${gone}`)).status, 404)
    const tags = json(await send(server, 'GET', '/v2/del/manifest/tags/list'))
    assert.deepEqual(tags, { name: 'del/manifest', tags: ['kept'] })
    assert.equal((await send(server, 'HEAD', `/v2/del/manifest/blobs/${made.config.digest}`)).status, 200)
  })

  test('of what is not there is 404', async () => {
    for (const reference of ['nothing', digestOf('nothing')])
      assert.equal(refusalOf(await send(server, 'DELETE', url(reference))), '404 MANIFEST_UNKNOWN')
  })

  test('in one repository leaves the same manifest in another', async () => {
    const made = makeImage()
    await pushImage(server, 'del/here', 'a', made)
    await pushImage(server, 'del/there', 'a', made)
    expectStatus(await send(server, 'DELETE', `/v2/del/here/manifests/${made.manifest.digest}`), 202)
    assert.equal((await send(server, 'GET', '/v2/del/there/manifests/a')).status, 200)
  })

  test('then a push brings it back', async () => {
    const made = makeImage()
    await pushImage(server, 'del/back', 'a', made)
    expectStatus(await send(server, 'DELETE', `/v2/del/back/manifests/${made.manifest.digest}`), 202)
    expectStatus(await putManifest(server, 'del/back', 'a', made.manifest.bytes), 201)
    assert.deepEqual((await send(server, 'GET', '/v2/del/back/manifests/a')).body, made.manifest.bytes)
  })
})
