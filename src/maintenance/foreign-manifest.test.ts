import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { factsOfForeign } from '#maintenance/foreign-manifest.ts'
import { digestOf } from '#oci/digest.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  OCTET_STREAM,
} from '#oci/media-types.ts'

const [A, B, C] = [digestOf('a'), digestOf('b'), digestOf('c')]
const config = { mediaType: OCI_CONFIG, digest: A, size: 1 }
const layer = { mediaType: 'application/octet-stream', digest: B, size: 1 }
const facts = (document: unknown) =>
  factsOfForeign(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)))

describe('what a manifest of another program says', () => {
  const types: [string, unknown, string][] = [
    [
      'its own media type',
      { schemaVersion: 2, mediaType: DOCKER_MANIFEST, config, layers: [layer] },
      DOCKER_MANIFEST,
    ],
    ['a list', { schemaVersion: 2, mediaType: DOCKER_LIST, manifests: [] }, DOCKER_LIST],
    ['an OCI manifest without a media type', { schemaVersion: 2, config, layers: [layer] }, OCI_MANIFEST],
    ['an OCI index without a media type', { schemaVersion: 2, manifests: [] }, OCI_INDEX],
    ['schema 1', { schemaVersion: 1, name: 'a', fsLayers: [] }, DOCKER_SCHEMA1],
    ['schema 1, signed', { schemaVersion: 1, signatures: [] }, DOCKER_SCHEMA1_SIGNED],
    ['a media type that is empty', { schemaVersion: 2, mediaType: '', config, layers: [] }, OCI_MANIFEST],
    [
      'a media type that no header could carry',
      { schemaVersion: 2, mediaType: 'a/b\r\nX-Injected: 1', config, layers: [] },
      OCI_MANIFEST,
    ],
    ['a media type that is no text', { schemaVersion: 2, mediaType: 7, config, layers: [] }, OCI_MANIFEST],
    ['a version that nobody knows', { schemaVersion: 3 }, OCTET_STREAM],
    ['no JSON', 'junk', OCTET_STREAM],
    ['no object', '[1, 2]', OCTET_STREAM],
    ['null', 'null', OCTET_STREAM],
  ]
  for (const [what, document, mediaType] of types)
    test(`${what} is served as ${mediaType}`, () => assert.equal(facts(document).row.mediaType, mediaType))

  test('a sound one has its subject, artifact type, annotations, blobs and children', () => {
    const subject = { mediaType: OCI_MANIFEST, digest: C, size: 1 }
    const artifact = facts({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: 'application/x',
      config,
      layers: [layer],
      subject,
      annotations: { a: 'b' },
    })
    assert.deepEqual(artifact, {
      tellsType: true,
      row: { mediaType: OCI_MANIFEST, artifactType: 'application/x', subject: C, annotations: '{"a":"b"}' },
      blobs: [A, B],
      children: [],
    })
    const child = { mediaType: OCI_MANIFEST, digest: C, size: 1 }
    const index = facts({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] })
    assert.deepEqual([index.blobs, index.children], [[], [C]])
  })

  test('what stands beside the bytes counts where they do not say what they are', () => {
    const bare = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [layer] }))
    assert.equal(factsOfForeign(bare, 'application/x.own').row.mediaType, 'application/x.own')
    assert.equal(factsOfForeign(bare, 'no type\n').row.mediaType, OCI_MANIFEST)
    const told = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: DOCKER_LIST, manifests: [] }))
    assert.equal(factsOfForeign(told, 'application/x.own').row.mediaType, DOCKER_LIST)
  })

  test('one that our rules refuse keeps what it refers to from being collected', () => {
    const manifest = facts({
      schemaVersion: 2,
      config: { digest: A },
      layers: [null, { digest: B }, 7, { digest: 'x' }],
    })
    assert.deepEqual(manifest.blobs, [A, B])
    const index = facts({ schemaVersion: 2, manifests: [{ digest: C }, {}, 'x'] })
    assert.deepEqual(index.children, [C])
    assert.deepEqual(facts({ schemaVersion: 2, config: 7, layers: {} }).blobs, [])
  })

  test('one that our rules refuse is a referrer all the same when its subject is sound', () => {
    const subject = { mediaType: OCI_MANIFEST, digest: C, size: 1 }
    const refused = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [7], subject }
    const row = { mediaType: OCI_MANIFEST, artifactType: OCI_CONFIG, subject: C, annotations: '{}' }
    assert.deepEqual(facts(refused).row, row)
    const named = { ...refused, artifactType: 'application/x', annotations: { a: 'b' } }
    assert.deepEqual(facts(named).row, { ...row, artifactType: 'application/x', annotations: '{"a":"b"}' })
    assert.deepEqual(facts({ ...refused, config: 7, annotations: { a: 1 } }).row, {
      ...row,
      artifactType: null,
    })
    assert.equal(facts({ ...refused, subject: { ...subject, size: -1 } }).row.subject, null)
  })

  test('the layers of schema 1 are kept from being collected', () => {
    const { blobs } = facts({
      schemaVersion: 1,
      fsLayers: [{ blobSum: A }, { blobSum: B }, { blobSum: 'x' }],
    })
    assert.deepEqual(blobs, [A, B])
  })
})
