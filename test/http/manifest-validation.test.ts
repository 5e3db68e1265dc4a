// What a manifest must be to be taken, and that a refusal says everything that is wrong at once.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { type Answer, errorOf, refusalOf, send } from './client.ts'
import {
  descriptorOf,
  expectStatus,
  LAYER,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

interface Finding {
  readonly path: string
  readonly problem: string
}
const findingsOf = (answer: Answer) => (errorOf(answer).detail as { findings: Finding[] }).findings
const pathsOf = (answer: Answer) => findingsOf(answer).map(({ path }) => path)
const missingOf = (answer: Answer) =>
  (errorOf(answer).detail as { missing: { path: string; digest: string }[] }).missing

describe('with the default rules', () => {
  let server: TestServer
  const present = makeImage()
  before(async () => {
    server = await startServer()
    await pushImage(server, 'app', 'present', present)
  })
  after(() => server[Symbol.asyncDispose]())

  const put = (value: unknown, mediaType = OCI_MANIFEST) =>
    putManifest(server, 'app', 'a', typeof value === 'string' ? value : JSON.stringify(value), mediaType)
  const good = () => JSON.parse(present.manifest.bytes.toString()) as Record<string, unknown>

  test('every finding is told at once, each with its place', async () => {
    const answer = await put({
      schemaVersion: 1,
      mediaType: DOCKER_MANIFEST,
      config: { mediaType: 7, digest: 'sha256:short', size: -1 },
      layers: [{ mediaType: LAYER, digest: digestOf('x') }],
      annotations: { key: 1 },
    })
    assert.equal(refusalOf(answer), '400 MANIFEST_INVALID')
    const paths = pathsOf(answer)
    for (const path of [
      '/schemaVersion',
      '/mediaType',
      '/config/mediaType',
      '/config/digest',
      '/config/size',
      '/layers/0/size',
      '/annotations/key',
    ])
      assert.ok(paths.includes(path), `${path} in ${paths}`)
    for (const { problem } of findingsOf(answer)) assert.ok(problem.length > 5)
  })

  test('all that is missing is named, and nothing of the manifest is stored', async () => {
    const layers = [randomContent(10), randomContent(20), ...present.layers]
    const image = makeImage(layers)
    const answer = await putManifest(server, 'app', 'missing', image.manifest.bytes)
    assert.equal(refusalOf(answer), '404 MANIFEST_BLOB_UNKNOWN')
    assert.deepEqual(
      missingOf(answer).map(({ path, digest }) => [path, digest]),
      [
        ['/config', image.config.digest],
        ['/layers/0', layers[0]?.digest],
        ['/layers/1', layers[1]?.digest],
      ],
    )
    assert.equal((await send(server, 'HEAD', '/v2/app/manifests/missing')).status, 404)
    assert.equal((await send(server, 'HEAD', `/v2/app/blobs/${image.manifest.digest}`)).status, 404)
  })

  test('a blob of another repository does not count as present', async () => {
    const image = makeImage()
    for (const content of [image.config, ...image.layers]) await pushBlob(server, 'elsewhere', content)
    const answer = await putManifest(server, 'app', 'a', image.manifest.bytes)
    assert.equal(refusalOf(answer), '404 MANIFEST_BLOB_UNKNOWN')
  })

  test('a missing child of an index is named', async () => {
    const child = { mediaType: OCI_MANIFEST, digest: digestOf('no such manifest'), size: 17 }
    const answer = await put(
      makeIndex([descriptorOf(present.manifest, OCI_MANIFEST), child]).bytes.toString(),
      OCI_INDEX,
    )
    assert.equal(refusalOf(answer), '404 MANIFEST_BLOB_UNKNOWN')
    assert.deepEqual(
      missingOf(answer).map(({ path }) => path),
      ['/manifests/1'],
    )
  })

  test('a declared size that is not the stored one is refused, for blobs and for children', async () => {
    const wrong = { ...good(), config: { ...descriptorOf(present.config, OCI_CONFIG), size: 1 } }
    const answer = await put(wrong)
    assert.equal(refusalOf(answer), '400 MANIFEST_INVALID')
    assert.deepEqual(pathsOf(answer), ['/config/size'])
    assert.match(findingsOf(answer)[0]?.problem ?? '', new RegExp(`has ${present.config.bytes.length} bytes`))
    const child = { ...descriptorOf(present.manifest, OCI_MANIFEST), size: 1 }
    const index = await put(makeIndex([child]).bytes.toString(), OCI_INDEX)
    assert.deepEqual([index.status, pathsOf(index)], [400, ['/manifests/0/size']])
  })

  test('what is wrong and what is missing are told together', async () => {
    const image = makeImage([randomContent(10), ...present.layers])
    const manifest = JSON.parse(image.manifest.bytes.toString())
    manifest.layers[1].size += 1
    const answer = await put(manifest)
    const detail = errorOf(answer).detail as { findings: Finding[]; missing: unknown[] }
    assert.equal(answer.status, 400)
    assert.deepEqual([detail.findings.length, detail.missing.length], [1, 2])
  })

  const confusions: readonly [what: string, body: () => unknown, mediaType: string][] = [
    ['an image with manifests', () => ({ ...good(), manifests: [] }), OCI_MANIFEST],
    ['an index with layers', () => ({ schemaVersion: 2, manifests: [], layers: [] }), OCI_INDEX],
    [
      'an index with a config',
      () => ({ schemaVersion: 2, manifests: [], config: descriptorOf(present.config, OCI_CONFIG) }),
      OCI_INDEX,
    ],
    ['an image sent as an index', good, OCI_INDEX],
    [
      'an index sent as an image',
      () => ({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
      OCI_MANIFEST,
    ],
    ['an OCI image sent as a Docker one', good, DOCKER_MANIFEST],
  ]
  for (const [what, body, mediaType] of confusions)
    test(`CVE-2021-41190: ${what} is refused`, async () => {
      assert.equal(refusalOf(await put(body(), mediaType)), '400 MANIFEST_INVALID')
    })

  const bodies: readonly [what: string, body: () => string][] = [
    ['trailing junk', () => `${JSON.stringify(good())} junk`],
    ['two documents', () => `${JSON.stringify(good())}${JSON.stringify(good())}`],
    [
      'a member twice',
      () => JSON.stringify(good()).replace('"schemaVersion":2', '"schemaVersion":2,"schemaVersion":2'),
    ],
    [
      'a member twice, written in two ways',
      () => JSON.stringify(good()).replace('"schemaVersion":2', '"schemaVersion":2,"schema\\u0056ersion":2'),
    ],
    [
      'a member twice in a layer',
      () => JSON.stringify(good()).replace('"layers":[{', `"layers":[{"mediaType":"a/b",`),
    ],
    ['a member in other case, which Go reads as the same', () => JSON.stringify({ ...good(), Layers: [] })],
    ['an array', () => '[]'],
    ['nothing', () => ''],
    ['text that is no JSON', () => '{"schemaVersion": 2,'],
    ['nesting without end', () => `{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`],
  ]
  for (const [what, body] of bodies)
    test(`a body with ${what} is refused`, async () => {
      assert.equal(refusalOf(await put(body())), '400 MANIFEST_INVALID')
    })

  test('bytes that are no UTF-8 are refused', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"schemaVersion":2,"a":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ])
    assert.equal(refusalOf(await putManifest(server, 'app', 'a', bytes)), '400 MANIFEST_INVALID')
  })

  test('white space around the document is part of it, and of its digest', async () => {
    const padded = `${present.manifest.bytes.toString()}\n\n`
    const answer = await put(padded)
    assert.deepEqual([answer.status, answer.headers['docker-content-digest']], [201, digestOf(padded)])
    assert.equal(
      refusalOf(await putManifest(server, 'app', present.manifest.digest, padded)),
      '400 DIGEST_INVALID',
    )
  })

  test('unknown members are kept byte for byte', async () => {
    const body = JSON.stringify({ ...good(), 'org.example/more': { deep: [1, { er: null }] } }, null, 3)
    expectStatus(await put(body), 201)
    assert.equal((await send(server, 'GET', '/v2/app/manifests/a')).body.toString(), body)
  })

  test('layers that may not be distributed need not be here', async () => {
    const away = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      digest: digestOf('away'),
      size: 4,
      urls: ['https://example.com/layer'],
    }
    expectStatus(await put({ ...good(), layers: [away] }), 201)
  })

  test('an address of a layer must be http or https', async () => {
    for (const address of ['ftp://example.com/a', 'file:///etc/passwd', 'javascript:alert(1)', '/relative']) {
      const layer = { ...descriptorOf(present.layers[0] ?? present.config, LAYER), urls: [address] }
      const answer = await put({ ...good(), layers: [layer] })
      assert.deepEqual([answer.status, pathsOf(answer)], [400, ['/layers/0/urls/0']], address)
    }
  })

  test('Docker schema 1 is refused with what to do about it', async () => {
    const answer = await put(
      { schemaVersion: 1 },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
    )
    assert.match(findingsOf(answer)[0]?.problem ?? '', /build the image again|convert/)
  })
})

test('sparse manifests are taken when the configuration allows them, and wrong sizes are not', async () => {
  await using server = await startServer({ env: { REGISTRY_VALIDATION_MANIFESTS_SPARSE: 'true' } })
  const image = makeImage()
  const sparse = await putManifest(server, 'app', 'a', image.manifest.bytes)
  expectStatus(sparse, 201)
  assert.match(String(sparse.headers['warning']), new RegExp(`^299 - ".*${image.config.digest} and 1 more`))
  expectStatus(
    await putManifest(
      server,
      'app',
      'b',
      makeIndex([descriptorOf(makeImage().manifest, OCI_MANIFEST)]).bytes,
      OCI_INDEX,
    ),
    201,
  )
  await pushBlob(server, 'app', image.config)
  const manifest = JSON.parse(image.manifest.bytes.toString())
  manifest.config.size += 1
  assert.equal(
    refusalOf(await putManifest(server, 'app', 'c', JSON.stringify(manifest))),
    '400 MANIFEST_INVALID',
  )
})

test('with validation off, what is missing is no reason to refuse; what is no manifest still is', async () => {
  await using server = await startServer({ env: { REGISTRY_VALIDATION_DISABLED: 'true' } })
  expectStatus(await putManifest(server, 'app', 'a', makeImage().manifest.bytes), 201)
  assert.equal(refusalOf(await putManifest(server, 'app', 'a', '{}')), '400 MANIFEST_INVALID')
})

describe('platforms of an index that must be present', () => {
  const child = (architecture: string) => ({
    mediaType: OCI_MANIFEST,
    digest: digestOf(architecture),
    size: 9,
    platform: { os: 'linux', architecture },
  })
  const index = makeIndex([child('amd64'), child('arm64')])
  const rows: readonly [env: Record<string, string>, refusal: string | undefined, paths: string[]][] = [
    [{}, '404 MANIFEST_BLOB_UNKNOWN', ['/manifests/0', '/manifests/1']],
    [{ REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS: 'none' }, undefined, []],
    [
      {
        REGISTRY_VALIDATION_MANIFESTS_INDEXES:
          '{platforms: list, platformlist: [{os: linux, architecture: arm64}]}',
      },
      '404 MANIFEST_BLOB_UNKNOWN',
      ['/manifests/1'],
    ],
    [
      {
        REGISTRY_VALIDATION_MANIFESTS_INDEXES:
          '{platforms: list, platformlist: [{os: windows, architecture: amd64}]}',
      },
      undefined,
      [],
    ],
  ]
  for (const [env, refusal, paths] of rows)
    test(`${Object.values(env)[0] ?? 'all, by default'}: ${paths.length} must`, async () => {
      await using server = await startServer({ env })
      const answer = await putManifest(server, 'app', 'a', index.bytes, OCI_INDEX)
      if (refusal === undefined) return expectStatus(answer, 201)
      assert.equal(refusalOf(answer), refusal)
      assert.deepEqual(
        missingOf(answer).map(({ path }) => path),
        paths,
      )
    })
})

test('addresses of layers follow the allow and deny lists', async () => {
  await using server = await startServer({
    env: {
      REGISTRY_VALIDATION_MANIFESTS_URLS: '{allow: ["^https://mirror\\\\.example/"], deny: ["/private/"]}',
    },
  })
  const base = makeImage()
  for (const content of [base.config, ...base.layers]) await pushBlob(server, 'app', content)
  const manifest = JSON.parse(base.manifest.bytes.toString())
  const statusWith = async (address: string) => {
    manifest.layers[0].urls = [address]
    return (await putManifest(server, 'app', 'a', JSON.stringify(manifest))).status
  }
  assert.equal(await statusWith('https://mirror.example/layer'), 201)
  assert.equal(await statusWith('https://mirror.example/private/layer'), 400)
  assert.equal(await statusWith('https://mirrorxexample/layer'), 400)
  assert.equal(await statusWith('http://mirror.example/layer'), 400)
})
