// Referrers: what points at a manifest, filtered, in pages, also before the manifest itself is there.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { OCI_EMPTY, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { type Answer, json, refusalOf, send } from './client.ts'
import {
  type Content,
  contentOf,
  descriptorOf,
  expectStatus,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

const EMPTY = contentOf('{}')
const SBOM = 'application/vnd.example.sbom'
const SIGNATURE = 'application/vnd.example.signature'

let server: TestServer
before(async () => {
  server = await startServer()
})
after(() => server[Symbol.asyncDispose]())

interface Index {
  readonly schemaVersion: number
  readonly mediaType: string
  readonly manifests: readonly Record<string, unknown>[]
}
const referrersOf = (name: string, digest: string, query = '') =>
  send(server, 'GET', `/v2/${name}/referrers/${digest}${query}`)
const manifestsIn = (answer: Answer) => (json(answer) as Index).manifests

function artifactOn(
  subject: Content,
  artifactType: string,
  number: number,
  annotations: Record<string, string> = {},
): Content {
  return contentOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType,
      config: descriptorOf(EMPTY, OCI_EMPTY),
      layers: [],
      subject: descriptorOf(subject, OCI_MANIFEST),
      annotations: { number: String(number), ...annotations },
    }),
  )
}

async function push(name: string, content: Content, mediaType = OCI_MANIFEST): Promise<Answer> {
  const answer = await putManifest(server, name, content.digest, content.bytes, mediaType)
  expectStatus(answer, 201)
  return answer
}

test('nothing refers to what nobody ever heard of: an empty index, never 404', async () => {
  for (const name of ['never/pushed', 'nobody']) {
    const answer = await referrersOf(name, digestOf('nothing'))
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], OCI_INDEX)
    assert.deepEqual(json(answer), { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] })
    assert.equal(answer.headers['oci-filters-applied'], undefined)
  }
})

test('what is no digest is 400', async () => {
  for (const digest of ['sha256:abc', 'latest', 'md5:0123'])
    assert.equal(refusalOf(await referrersOf('app', digest)), '400 DIGEST_INVALID')
})

describe('an image with referrers', () => {
  const image = makeImage()
  const sbom = artifactOn(image.manifest, SBOM, 1, { 'org.example.format': 'spdx', 'snow☃': '"quoted"' })
  const signature = artifactOn(image.manifest, SIGNATURE, 2)
  before(async () => {
    await pushBlob(server, 'app', EMPTY)
    // The signature comes before what it signs.
    const early = await push('app', signature)
    assert.equal(early.headers['oci-subject'], image.manifest.digest)
    await pushImage(server, 'app', 'v1', image)
    assert.equal((await push('app', sbom)).headers['oci-subject'], image.manifest.digest)
  })

  test('lists them all with type, size, artifact type and every annotation, the one that came first too', async () => {
    const manifests = manifestsIn(await referrersOf('app', image.manifest.digest))
    const expected = [
      {
        ...descriptorOf(sbom, OCI_MANIFEST),
        artifactType: SBOM,
        annotations: { number: '1', 'org.example.format': 'spdx', 'snow☃': '"quoted"' },
      },
      { ...descriptorOf(signature, OCI_MANIFEST), artifactType: SIGNATURE, annotations: { number: '2' } },
    ].sort((a, b) => (a.digest < b.digest ? -1 : 1))
    assert.deepEqual(manifests, expected)
  })

  test('lists those of a type, and says that it filtered', async () => {
    const answer = await referrersOf('app', image.manifest.digest, `?artifactType=${SBOM}`)
    assert.equal(answer.headers['oci-filters-applied'], 'artifactType')
    assert.deepEqual(
      manifestsIn(answer).map(({ digest }) => digest),
      [sbom.digest],
    )
    const none = await referrersOf('app', image.manifest.digest, '?artifactType=none%2Fsuch')
    assert.deepEqual([none.status, manifestsIn(none)], [200, []])
  })

  test('in another repository has none', async () => {
    await pushImage(server, 'other', 'v1', image)
    assert.deepEqual(manifestsIn(await referrersOf('other', image.manifest.digest)), [])
  })

  test('loses one that is deleted, and keeps them when it is deleted itself', async () => {
    const more = artifactOn(image.manifest, SBOM, 3)
    await push('app', more)
    expectStatus(await send(server, 'DELETE', `/v2/app/manifests/${more.digest}`), 202)
    expectStatus(await send(server, 'DELETE', `/v2/app/manifests/${image.manifest.digest}`), 202)
    assert.equal(manifestsIn(await referrersOf('app', image.manifest.digest)).length, 2)
    await pushImage(server, 'app', 'v1', image)
  })
})

test('the artifact type falls back to the type of the config, and an index without one has none', async () => {
  const subject = contentOf('{"never":"pushed"}')
  const image = makeImage(undefined, { subject: descriptorOf(subject, OCI_MANIFEST) })
  const index = makeIndex([], { subject: descriptorOf(subject, OCI_MANIFEST) })
  const typed = makeIndex([], { subject: descriptorOf(subject, OCI_MANIFEST), artifactType: SBOM })
  await pushImage(server, 'types', 'image', image)
  for (const content of [index, typed]) await push('types', content, OCI_INDEX)
  const found = new Map(
    manifestsIn(await referrersOf('types', subject.digest)).map((entry) => [entry['digest'], entry]),
  )
  assert.equal(found.get(image.manifest.digest)?.['artifactType'], 'application/vnd.oci.image.config.v1+json')
  assert.equal(found.get(typed.digest)?.['artifactType'], SBOM)
  assert.deepEqual(found.get(index.digest), descriptorOf(index, OCI_INDEX))
})

test('a subject named by sha512 is found by that', async () => {
  const subject = { bytes: Buffer.from('long'), digest: digestOf('long', 'sha512') }
  const artifact = artifactOn(subject, SBOM, 1)
  await pushBlob(server, 'long', EMPTY)
  assert.equal((await push('long', artifact)).headers['oci-subject'], subject.digest)
  assert.equal(manifestsIn(await referrersOf('long', subject.digest)).length, 1)
})

test('more than a thousand come in pages, whose links keep the filter and lead to all of them, once each', async () => {
  const subject = contentOf('{"popular":true}')
  const pushes = [
    ...Array.from({ length: 1_050 }, (_, number) => artifactOn(subject, SBOM, number)),
    artifactOn(subject, SIGNATURE, 0),
  ]
  await pushBlob(server, 'popular', EMPTY)
  for (let start = 0; start < pushes.length; start += 16)
    await Promise.all(pushes.slice(start, start + 16).map((one) => push('popular', one)))
  for (const [query, expected] of [
    ['', 1_051],
    [`?artifactType=${encodeURIComponent(SBOM)}`, 1_050],
  ] as const) {
    const digests: unknown[] = []
    let pages = 0
    for (
      let at: string | undefined = `/v2/popular/referrers/${subject.digest}${query}`;
      at !== undefined;
      pages++
    ) {
      const answer: Answer = await send(server, 'GET', at)
      assert.equal(answer.headers['oci-filters-applied'], query === '' ? undefined : 'artifactType')
      assert.ok(answer.body.length < 4 * 1024 * 1024)
      digests.push(...manifestsIn(answer).map(({ digest }) => digest))
      at = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers['link'] ?? ''))?.[1]
    }
    assert.equal(pages, 2)
    assert.deepEqual([digests.length, new Set(digests).size], [expected, expected])
  }
})

test('large annotations make pages smaller, so that none outgrows what clients read', async () => {
  const subject = contentOf('{"annotated":true}')
  await pushBlob(server, 'annotated', EMPTY)
  for (let number = 0; number < 8; number++)
    await push('annotated', artifactOn(subject, SBOM, number, { note: 'x'.repeat(900_000) }))
  let found = 0
  for (let at: string | undefined = `/v2/annotated/referrers/${subject.digest}`; at !== undefined; ) {
    const answer: Answer = await send(server, 'GET', at)
    assert.ok(answer.body.length < 4 * 1024 * 1024)
    found += manifestsIn(answer).length
    at = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers['link'] ?? ''))?.[1]
  }
  assert.equal(found, 8)
})
