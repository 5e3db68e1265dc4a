// Names and digests that try to leave the store: refused at the door, and the file system never sees them.
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { staleUploads } from '#db/uploads.ts'
import { digestOf } from '#oci/digest.ts'
import { send } from './client.ts'
import { makeImage, pushImage } from './content.ts'
import { RawConnection, statusIn } from './raw-connection.ts'
import { filesBelow, startServer, type TestServer } from './server.ts'

const API_WORDS = [
  'manifests',
  'blobs',
  'blobs/uploads',
  'tags/list',
  'a/manifests/b',
  'referrers',
  'v2',
  'uploads',
]

let server: TestServer
let filesBefore: string[]
const good = digestOf('any')
before(async () => {
  server = await startServer({ onDisk: true })
  await pushImage(server, 'team/app', 'v1', makeImage())
  await mkdir(join(server.root, 'docker/registry/v2/repositories/secret/_uploads'), { recursive: true })
  await writeFile(join(server.folder, 'outside'), 'not for clients')
  filesBefore = await settledFiles()
})
after(async () => {
  assert.deepEqual(await settledFiles(), filesBefore)
  await server[Symbol.asyncDispose]()
})

/** Without the database and the link files of names that are good: both are written behind our back. */
async function settledFiles(): Promise<string[]> {
  const ours = new RegExp(`registry\\.sqlite|/repositories/(${['team', ...API_WORDS].join('|')})(/|$)`)
  return (await filesBelow(server.folder)).filter((file) => !ours.test(file))
}

const HEAD: Readonly<Record<string, string>> = {
  GET: '',
  PUT: 'Content-Length: 2\r\n',
  POST: 'Content-Length: 0\r\n',
  PATCH: 'Content-Length: 2\r\n',
  DELETE: '',
}
const BODY: Readonly<Record<string, string>> = { PUT: '{}', PATCH: '{}' }

/** Sent as it stands: an HTTP client would clean the path up. */
async function rawStatus(method: string, path: string): Promise<number> {
  using connection = await RawConnection.open(server.port)
  connection.write(
    Buffer.from(
      `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${HEAD[method]}\r\n${BODY[method] ?? ''}`,
      'latin1',
    ),
  )
  await connection.untilClosed()
  return statusIn(connection.received)
}

const NAMES = [
  '..',
  '../..',
  'team/..',
  'team/../../outside',
  './team',
  '%2e%2e',
  'team%2fapp',
  'team%2Fapp',
  'team%252fapp',
  '..%2f..%2foutside',
  '%2e%2e%2f%2e%2e',
  'team//app',
  '//team',
  'team/app/',
  '/etc',
  'team%00app',
  'team%00',
  'team\\app',
  'team%5capp',
  '..%5c..',
  '_manifests',
  'team/_manifests',
  'secret/_uploads',
  'team/_layers/sha256',
  'Team/App',
  'team/app%20',
  'team/app%0a',
  'team/%C3%A9',
  'team/.hidden',
  'team/app.',
  'team/-app',
  'CON',
  `${'a'.repeat(256)}`,
  `${'a/'.repeat(130)}a`,
  'a'.repeat(8_000),
  '%zz',
  '%',
  '%c0%ae%c0%ae',
]
const ENDPOINTS: readonly [method: string, rest: string][] = [
  ['GET', 'tags/list'],
  ['GET', 'manifests/v1'],
  ['PUT', 'manifests/v1'],
  ['DELETE', 'manifests/v1'],
  ['GET', `blobs/${good}`],
  ['DELETE', `blobs/${good}`],
  ['POST', 'blobs/uploads/'],
  ['POST', `blobs/uploads/?digest=${digestOf('')}`],
  ['PATCH', 'blobs/uploads/some-id'],
  ['GET', `referrers/${good}`],
]

test('an address in the absolute form, as a proxy is asked, is the path in it', async () => {
  const asked = (url: string) => rawStatus('GET', url)
  assert.equal(await asked('http://registry.example:5000/v2/'), 200)
  assert.equal(await asked('http://registry.example/v2/_catalog?n=1'), 200)
  assert.equal(await asked('http://registry.example/v2x/'), 404)
})

describe('Incus CVE-2026-48753, pulp CVE-2026-90959: a name that is none is refused on every endpoint', () => {
  for (const name of NAMES)
    test(JSON.stringify(name.slice(0, 40)), async () => {
      const statuses = await Promise.all(
        ENDPOINTS.map(([method, rest]) => rawStatus(method, `/v2/${name}/${rest}`)),
      )
      for (const status of statuses) assert.ok(status === 400 || status === 404, `${statuses}`)
    })

  test('also as the source of a mount, which then is no source', async () => {
    for (const name of NAMES.filter((one) => one.length < 500)) {
      const status = await rawStatus(
        'POST',
        `/v2/team/app/blobs/uploads/?mount=${good}&from=${encodeURIComponent(name)}`,
      )
      assert.equal(status, 202)
    }
    for (const { id } of await staleUploads(server.app.registry.db, Number.MAX_SAFE_INTEGER, 1_000))
      await send(server, 'DELETE', `/v2/team/app/blobs/uploads/${id}`)
  })
})

describe('containers/image CVE-2024-3727: a digest that is none is refused before anything is looked up', () => {
  const hex = 'a'.repeat(64)
  const digests = [
    'sha256:../../../../etc/passwd',
    'sha256:..',
    `sha256:../${hex.slice(3)}`,
    `sha256:${hex.toUpperCase()}`,
    `SHA256:${hex}`,
    `sha256:${hex.slice(1)}`,
    `sha256:${hex}a`,
    `sha512:${hex}`,
    `md5:${hex.slice(0, 32)}`,
    `sha384:${hex}${hex.slice(32)}`,
    `sha256:${hex}%00`,
    `sha256:${hex}%0a`,
    `sha256%3a..%2f..`,
    `sha256:%2e%2e%2f%2e%2e`,
    'sha256:',
    ':',
    `sha256:${hex}/../../..`,
    `sha256:sha256:${hex}`,
    `sha256+b64:${hex}`,
  ]
  for (const digest of digests)
    test(digest.replaceAll(hex, '<hex>').slice(0, 50), async () => {
      const requests: readonly [method: string, path: string][] = [
        ['GET', `blobs/${digest}`],
        ['DELETE', `blobs/${digest}`],
        ['GET', `manifests/${digest}`],
        ['PUT', `manifests/${digest}`],
        ['DELETE', `manifests/${digest}`],
        ['GET', `referrers/${digest}`],
      ]
      for (const [method, path] of requests) {
        const status = await rawStatus(method, `/v2/team/app/${path}`)
        assert.ok(status === 400 || status === 404, `${method} ${path}: ${status}`)
      }
      for (const query of ['digest', 'mount'])
        assert.equal(
          await rawStatus('POST', `/v2/team/app/blobs/uploads/?${query}=${encodeURIComponent(digest)}`),
          400,
        )
    })
})

test('an encoded digest or tag is the same as a plain one', async () => {
  const { headers } = await send(server, 'HEAD', '/v2/team/app/manifests/v1')
  const digest = String(headers['docker-content-digest'])
  assert.equal(await rawStatus('GET', `/v2/team/app/manifests/${digest.replace(':', '%3A')}`), 200)
  assert.equal(await rawStatus('GET', '/v2/team/app/manifests/%76%31'), 200)
})

test('a name of 255 characters is a name', async () => {
  assert.equal(await rawStatus('GET', `/v2/${'a'.repeat(255)}/tags/list`), 404)
  assert.equal(await rawStatus('GET', `/v2/${'a/'.repeat(127)}a/tags/list`), 404)
})

test('words of the API are names like any other', async () => {
  for (const name of API_WORDS) {
    const image = makeImage()
    await pushImage(server, name, 'v1', image)
    const pulled = await send(server, 'GET', `/v2/${name}/manifests/v1`)
    assert.ok(pulled.body.equals(image.manifest.bytes), name)
    assert.equal((await send(server, 'GET', `/v2/${name}/tags/list`)).status, 200)
  }
  filesBefore = await settledFiles()
})

test('an encoded spelling of /v2/ itself reaches no endpoint by another way', async () => {
  for (const path of [
    '/%762/_catalog',
    '/v%32/_catalog',
    '/v2%2f_catalog',
    '//v2/_catalog',
    '/./v2/_catalog',
    '/x/../v2/_catalog',
    '/V2/_catalog',
  ])
    assert.ok([400, 404].includes(await rawStatus('GET', path)), path)
})
