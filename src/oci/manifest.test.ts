import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bareMediaType } from '#oci/bare-media-type.ts'
import { digestOf } from '#oci/digest.ts'
import { FINDINGS_MAX } from '#oci/findings.ts'
import { INDEX_MANIFESTS_MAX, MANIFEST_LAYERS_MAX, parseManifest } from '#oci/manifest.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  MANIFEST_MEDIA_TYPES,
  OCI_CONFIG,
  OCI_EMPTY,
  OCI_INDEX,
  OCI_MANIFEST,
} from '#oci/media-types.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
const OTHER = 'application/vnd.example.thing.v1+json'
const data = Buffer.from('hello')
const layer = { mediaType: LAYER, digest: digestOf('layer'), size: 5 }
const config = { mediaType: OCI_CONFIG, digest: digestOf('{}'), size: 2 }
const child = { mediaType: OCI_MANIFEST, digest: digestOf('child'), size: 300 }
const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] }
const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] }

function parse(body: unknown, mediaType: string) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return parseManifest(Buffer.from(text), mediaType)
}

function accepted(body: unknown, mediaType: string) {
  const { manifest, findings } = parse(body, mediaType)
  assert.deepEqual(findings, [])
  assert.ok(manifest)
  return manifest
}

const fine: [what: string, body: unknown, mediaType: string][] = [
  ['an image', image, OCI_MANIFEST],
  ['an image without its own mediaType', { ...image, mediaType: undefined }, OCI_MANIFEST],
  ['an image with empty layers', { ...image, layers: [] }, OCI_MANIFEST],
  ['an image whose layers a Go writer left null', { ...image, layers: null }, OCI_MANIFEST],
  ['members that are null', { ...image, subject: null, annotations: null, manifests: null }, OCI_MANIFEST],
  ['unknown members', { ...image, 'org.ABC': 'x', Custom: { deep: [1] } }, OCI_MANIFEST],
  ['unknown members of a descriptor', { ...image, layers: [{ ...layer, Digest: 1 }] }, OCI_MANIFEST],
  ['a Docker image', { ...image, mediaType: DOCKER_MANIFEST }, DOCKER_MANIFEST],
  ['an index', index, OCI_INDEX],
  ['an empty index', { ...index, manifests: [] }, OCI_INDEX],
  ['a Docker list', { ...index, mediaType: DOCKER_LIST }, DOCKER_LIST],
  ['a nested index', { ...index, manifests: [{ ...child, mediaType: OCI_INDEX }] }, OCI_INDEX],
  [
    'an index with platforms',
    {
      ...index,
      manifests: [
        { ...child, platform: { architecture: 'arm', os: 'linux', variant: 'v7', 'os.features': [] } },
        { ...child, platform: { architecture: 'unknown', os: 'unknown' } },
        { ...child, platform: {} },
        { ...child, platform: null },
      ],
    },
    OCI_INDEX,
  ],
  [
    'content in data fields',
    {
      ...image,
      layers: [
        { ...layer, digest: digestOf(data), size: 5, data: data.toString('base64') },
        { ...layer, digest: digestOf(data, 'sha512'), size: 5, data: data.toString('base64') },
        { ...layer, digest: digestOf(''), size: 0, data: '' },
      ],
    },
    OCI_MANIFEST,
  ],
  ['sizes up to 2^53-1', { ...image, layers: [{ ...layer, size: Number.MAX_SAFE_INTEGER }] }, OCI_MANIFEST],
  ['addresses in urls', { ...image, layers: [{ ...layer, urls: ['https://x.example/y'] }] }, OCI_MANIFEST],
  [
    'a layer type with parameters',
    { ...image, layers: [{ ...layer, mediaType: 'text/plain; charset=utf-8' }] },
    OCI_MANIFEST,
  ],
  ['four megabytes of annotations', { ...image, annotations: { a: 'x'.repeat(4_000_000) } }, OCI_MANIFEST],
  ['an annotation called __proto__', '{"annotations":{"__proto__":"x"}}', OTHER],
  ['an unknown type', { any: ['thing'], Layers: 1, layers: 'none', schemaVersion: 7 }, OTHER],
  ['space around the document', ` ${JSON.stringify(image)}\n`, OCI_MANIFEST],
]

for (const [what, body, mediaType] of fine)
  test(`accepted: ${what}`, () => {
    accepted(body, mediaType)
  })

const wrong: [what: string, body: unknown, mediaType: string, paths: string[]][] = [
  ['Docker schema 1', image, DOCKER_SCHEMA1, ['']],
  ['signed Docker schema 1', image, DOCKER_SCHEMA1_SIGNED, ['']],
  ['an empty Content-Type', image, '', ['']],
  ['an empty body', '', OCI_MANIFEST, ['']],
  ['what is not JSON', '{"a":', OCI_MANIFEST, ['']],
  ['what is not JSON, of an unknown type', 'binary', OTHER, ['']],
  ['an array', '[]', OCI_MANIFEST, ['']],
  ['null', 'null', OTHER, ['']],
  ['a million arrays in each other', '['.repeat(1e6) + ']'.repeat(1e6), OTHER, ['']],
  ['layers of a million arrays', `{"layers":${'['.repeat(1e6)}${']'.repeat(1e6)}}`, OCI_MANIFEST, ['']],
  ['trailing junk', `${JSON.stringify(image)}{}`, OCI_MANIFEST, ['']],
  ['a byte order mark', `\ufeff${JSON.stringify(image)}`, OCI_MANIFEST, ['']],
  [
    'a repeated member',
    `{"schemaVersion":1,${JSON.stringify(image).slice(1)}`,
    OCI_MANIFEST,
    ['/schemaVersion'],
  ],
  ['a repeated member of an unknown type', '{"a":{"b":1,"b":2}}', OTHER, ['/a/b']],
  ['a member in other case', { ...image, Manifests: [child] }, OCI_MANIFEST, ['/Manifests']],
  ['another schemaVersion', { ...image, schemaVersion: 1 }, OCI_MANIFEST, ['/schemaVersion']],
  ['a schemaVersion that is text', { ...index, schemaVersion: '2' }, OCI_INDEX, ['/schemaVersion']],
  [
    'a Docker image that does not say so',
    { ...image, mediaType: undefined },
    DOCKER_MANIFEST,
    ['/mediaType'],
  ],
  ['a mediaType other than the Content-Type', image, DOCKER_MANIFEST, ['/mediaType']],
  ['a mediaType other than an unknown Content-Type', { mediaType: OCI_INDEX }, OTHER, ['/mediaType']],
  ['a mediaType that is a number', { ...image, mediaType: 5 }, OCI_MANIFEST, ['/mediaType']],
  ['an image with manifests (CVE-2021-41190)', { ...image, manifests: [] }, OCI_MANIFEST, ['/manifests']],
  ['an index with layers (CVE-2021-41190)', { ...index, layers: [] }, OCI_INDEX, ['/layers']],
  ['an index with a config', { ...index, config }, OCI_INDEX, ['/config']],
  ['an image without config', { ...image, config: undefined }, OCI_MANIFEST, ['/config']],
  ['an image without layers', { ...image, layers: undefined }, OCI_MANIFEST, ['/layers']],
  ['layers that are an object', { ...image, layers: {} }, OCI_MANIFEST, ['/layers']],
  ['an index without manifests', { ...index, manifests: undefined }, OCI_INDEX, ['/manifests']],
  ['a layer that is null', { ...image, layers: [null] }, OCI_MANIFEST, ['/layers/0']],
  ['a subject that is text', { ...image, subject: 'x' }, OCI_MANIFEST, ['/subject']],
  [
    'a subject of an unknown type without digest',
    { subject: { ...child, digest: 1 } },
    OTHER,
    ['/subject/digest'],
  ],
  ['an artifactType that is a number', { ...image, artifactType: 1 }, OCI_MANIFEST, ['/artifactType']],
  [
    'annotations that are not strings',
    { ...index, annotations: { a: 1, 'b/c': null } },
    OCI_INDEX,
    ['/annotations/a', '/annotations/b~1c'],
  ],
  ['annotations that are an array', { ...index, annotations: [] }, OCI_INDEX, ['/annotations']],
]

for (const [what, body, mediaType, paths] of wrong)
  test(`refused: ${what}`, () => {
    const { manifest, findings } = parse(body, mediaType)
    assert.equal(manifest, undefined)
    assert.deepEqual(
      findings.map(({ path }) => path),
      paths,
    )
  })

const descriptors: [what: string, change: object, path: string][] = [
  ['no mediaType', { mediaType: undefined }, '/mediaType'],
  ['an empty mediaType', { mediaType: '' }, '/mediaType'],
  ['a mediaType without a slash', { mediaType: 'tar' }, '/mediaType'],
  ['a mediaType with a line break', { mediaType: 'a/b\nc' }, '/mediaType'],
  ['no digest', { digest: undefined }, '/digest'],
  ['a digest that is a path', { digest: 'sha256:../../etc/passwd' }, '/digest'],
  ['an upper-case digest', { digest: layer.digest.toUpperCase() }, '/digest'],
  ['no size', { size: undefined }, '/size'],
  ['a negative size', { size: -1 }, '/size'],
  ['half a byte', { size: 1.5 }, '/size'],
  ['a size above 2^53-1', { size: 2 ** 53 }, '/size'],
  ['a size that is text', { size: '5' }, '/size'],
  ['urls that are text', { urls: 'https://x.example' }, '/urls'],
  ['urls that are numbers', { urls: [1] }, '/urls'],
  ['annotations that are text', { annotations: 'x' }, '/annotations'],
  ['a platform that is text', { platform: 'linux/amd64' }, '/platform'],
  [
    'an architecture that is a number',
    { platform: { os: 'linux', architecture: 64 } },
    '/platform/architecture',
  ],
  [
    'os.features that are text',
    { platform: { os: 'a', architecture: 'b', 'os.features': 'c' } },
    '/platform/os.features',
  ],
  ['data that is not base64', { data: '***=' }, '/data'],
  ['data without its padding', { data: 'aGVsbG8' }, '/data'],
  ['data of another size', { data: Buffer.from('hell').toString('base64') }, '/data'],
  ['data of another digest', { data: Buffer.from('other').toString('base64') }, '/data'],
]

for (const [what, change, path] of descriptors)
  test(`a descriptor is refused with ${what}, as layer, config, child and subject alike`, () => {
    const broken = { ...layer, ...change }
    const bodies: [string, unknown, string][] = [
      ['/layers/1', { ...image, layers: [layer, broken] }, OCI_MANIFEST],
      ['/config', { ...image, config: broken }, OCI_MANIFEST],
      ['/manifests/0', { ...index, manifests: [broken] }, OCI_INDEX],
      ['/subject', { ...index, subject: broken }, OCI_INDEX],
    ]
    for (const [place, body, mediaType] of bodies)
      assert.deepEqual(
        parse(body, mediaType).findings.map((finding) => finding.path),
        [`${place}${path}`],
      )
  })

test('everything that is wrong is told at once', () => {
  const body = { schemaVersion: 3, mediaType: OCI_INDEX, layers: [{ size: -1 }], manifests: [], subject: 5 }
  assert.deepEqual(
    parse(body, OCI_MANIFEST).findings.map(({ path }) => path),
    [
      '/mediaType',
      '/schemaVersion',
      '/manifests',
      '/config',
      '/layers/0/mediaType',
      '/layers/0/digest',
      '/layers/0/size',
      '/subject',
    ],
  )
})

test('the list of problems is bounded, and says so', () => {
  const { findings } = parse({ ...image, layers: Array(5000).fill({}) }, OCI_MANIFEST)
  assert.equal(findings.length, FINDINGS_MAX + 1)
  assert.match(findings.at(-1)?.problem ?? '', /only the first 100/)
})

test('the numbers of layers and of children are bounded', () => {
  const layers = Array(MANIFEST_LAYERS_MAX).fill(layer)
  accepted({ ...image, layers }, OCI_MANIFEST)
  assert.equal(parse({ ...image, layers: [...layers, layer] }, OCI_MANIFEST).findings[0]?.path, '/layers')
  const manifests = Array(INDEX_MANIFESTS_MAX + 1).fill(child)
  assert.equal(parse({ ...index, manifests }, OCI_INDEX).findings[0]?.path, '/manifests')
})

test('bytes that are not UTF-8 are refused', () => {
  const { findings } = parseManifest(Buffer.from(`{"a":"\xff"}`, 'latin1'), OTHER)
  assert.deepEqual(findings, [{ path: '', problem: 'the body must be UTF-8' }])
})

test('an image is read into its parts', () => {
  const subject = child
  const body = { ...image, artifactType: 'application/x-thing', subject, annotations: { a: 'b' } }
  assert.deepEqual(accepted(body, OCI_MANIFEST), {
    kind: 'image',
    mediaType: OCI_MANIFEST,
    artifactType: 'application/x-thing',
    annotations: { a: 'b' },
    subject,
    config,
    layers: [layer],
    manifests: [],
  })
})

test('the artifactType falls back to the type of the config for an image, and to nothing for an index', () => {
  const empty = { ...config, mediaType: OCI_EMPTY }
  assert.equal(accepted({ ...image, config: empty }, OCI_MANIFEST).artifactType, OCI_EMPTY)
  assert.equal(accepted({ ...image, artifactType: '' }, OCI_MANIFEST).artifactType, OCI_CONFIG)
  assert.equal(accepted(index, OCI_INDEX).artifactType, undefined)
  assert.equal(accepted({ ...index, artifactType: 'a/b' }, OCI_INDEX).artifactType, 'a/b')
})

test('what an unknown type seems to refer to is kept, and what it means otherwise is its own affair', () => {
  const manifest = accepted(
    { subject: child, config, blobs: [layer, 'junk'], layers: 3, manifests: [child], annotations: { n: 1 } },
    OTHER,
  )
  assert.equal(manifest.kind, 'other')
  assert.deepEqual(manifest.subject, child)
  assert.deepEqual(manifest.config, config)
  assert.deepEqual(manifest.layers, [layer])
  assert.deepEqual(manifest.manifests, [child])
  assert.deepEqual(manifest.annotations, {})
  assert.equal(accepted({ subject: 'poem' }, OTHER).subject, undefined)
})

test('no body makes it throw', () => {
  const types = fc.constantFrom(...MANIFEST_MEDIA_TYPES, OTHER)
  const member = fc.constantFrom('config', 'layers', 'manifests', 'subject', 'annotations', 'mediaType', 'x')
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(layer, [layer], [[layer]], { digest: {} }))
  fc.assert(
    fc.property(types, fc.dictionary(member, value), fc.string(), (mediaType, body, text) => {
      const result = parse({ ...image, ...body }, mediaType)
      assert.equal(result.manifest === undefined, result.findings.length > 0)
      parse(text, mediaType)
    }),
  )
})

test('a Content-Type is bare without its parameters and in lower case', () => {
  assert.equal(bareMediaType(`${OCI_MANIFEST}; charset=utf-8`), OCI_MANIFEST)
  assert.equal(bareMediaType(` ${OCI_MANIFEST.toUpperCase()} ;x`), OCI_MANIFEST)
  assert.equal(bareMediaType(''), '')
})
