// The tree of link files and the facts stand in for each other: what one lost, the other brings back.
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { json, send } from '../http/client.ts'
import {
  contentOf,
  descriptorOf,
  expectStatus,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { pushBySha512 } from './published.ts'

const PASS_MS_MAX = 20_000
const ARTIFACT = 'application/vnd.example.report.v1'

/** One of everything that facts can hold. Resolves to the paths that show all of it. */
async function fill(server: TestServer): Promise<string[]> {
  const image = makeImage()
  await pushImage(server, 'app', '1.0', image)
  await pushImage(server, 'app', 'latest', image)
  const child = makeImage([randomContent(500)], { annotations: { purpose: 'child' } })
  await pushImage(server, 'app/below', 'child', child)
  const index = makeIndex([descriptorOf(child.manifest, OCI_MANIFEST)])
  expectStatus(await putManifest(server, 'app/below', 'multi', index.bytes, OCI_INDEX), 201)
  const report = makeImage([randomContent(100)], {
    artifactType: ARTIFACT,
    subject: descriptorOf(image.manifest, OCI_MANIFEST),
    annotations: { 'org.example.result': 'good' },
  })
  for (const blob of [report.config, ...report.layers]) await pushBlob(server, 'app', blob)
  const { digest: reportDigest, bytes: reportBytes } = report.manifest
  expectStatus(await putManifest(server, 'app', reportDigest, reportBytes), 201)
  const wide = await pushBySha512(server, 'wide', 'sha512')
  const alone = randomContent(700)
  const alias = digestOf(alone.bytes, 'sha512')
  await pushBlob(server, 'wide', { bytes: alone.bytes, digest: alias })
  const empty = contentOf(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }))
  expectStatus(await putManifest(server, 'bare', 'empty', empty.bytes, OCI_INDEX), 201)
  const untold = contentOf(JSON.stringify({ about: 'a type of its own, which the bytes do not tell' }))
  expectStatus(await putManifest(server, 'own', 'type', untold.bytes, 'application/vnd.example.v1+json'), 201)
  const subject = image.manifest.digest
  return [
    '/v2/_catalog',
    '/v2/own/manifests/type',
    ...['app', 'app/below', 'wide', 'bare', 'own'].map((name) => `/v2/${name}/tags/list`),
    '/v2/app/manifests/1.0',
    '/v2/app/manifests/latest',
    `/v2/app/manifests/${subject}`,
    `/v2/app/manifests/${reportDigest}`,
    `/v2/app/referrers/${subject}`,
    `/v2/app/referrers/${subject}?artifactType=${encodeURIComponent(ARTIFACT)}`,
    '/v2/app/below/manifests/multi',
    `/v2/app/below/manifests/${child.manifest.digest}`,
    '/v2/wide/manifests/sha512',
    `/v2/wide/manifests/${wide.content.digest}`,
    `/v2/wide/manifests/${digestOf(wide.content.bytes)}`,
    `/v2/wide/blobs/${alias}`,
    `/v2/wide/blobs/${alone.digest}`,
    '/v2/bare/manifests/empty',
    ...[image.config, ...image.layers].map(({ digest }) => `/v2/app/blobs/${digest}`),
    `/v2/app/below/blobs/${alias}`,
  ]
}

const HEADERS_COMPARED = [
  'content-type',
  'docker-content-digest',
  'content-length',
  'etag',
  'oci-filters-applied',
]

async function answers(server: TestServer, paths: readonly string[]): Promise<unknown[]> {
  const all: unknown[] = []
  for (const path of paths) {
    const { status, headers, body } = await send(server, 'GET', path)
    all.push([path, status, HEADERS_COMPARED.map((name) => headers[name]), body.toString('base64')])
  }
  return all
}

async function passed(server: TestServer): Promise<void> {
  await server.log.first((line) => line.msg === 'the tree is read')
  server.log.lines.length = 0
}

async function links(server: TestServer): Promise<Record<string, string>> {
  const folder = join(server.root, 'docker/registry/v2/repositories')
  const found: Record<string, string> = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) found[path] = await readFile(path, 'utf8')
  }
  return found
}

/** As if the system had been started since. */
function forgetBoot(server: TestServer): void {
  const db = new DatabaseSync(join(server.root, 'stowage/registry.sqlite'))
  db.prepare("update settings set value = 'another boot' where key = 'links_boot'").run()
  db.close()
}

test('a database that was lost is rebuilt from the tree, to the last answer', async () => {
  await using server = await startServer({ onDisk: true })
  await passed(server)
  const paths = await fill(server)
  const before = await answers(server, paths)
  await server.stop()
  const folder = join(server.root, 'stowage')
  const lost = (await readdir(folder)).filter((name) => name.startsWith('registry.sqlite'))
  assert.ok(lost.length > 0)
  for (const name of lost) await rm(join(folder, name))
  const linksBefore = await links(server)

  await server.start()
  await passed(server)
  assert.deepEqual(await answers(server, paths), before)
  assert.deepEqual(await links(server), linksBefore)
  await server.restart()
  await passed(server)
  assert.deepEqual(await answers(server, paths), before)
})

test('link files that a power loss took are written again, and nothing is forgotten', async () => {
  await using server = await startServer({ onDisk: true })
  await passed(server)
  const paths = await fill(server)
  const deleted = await send(server, 'DELETE', '/v2/app/manifests/latest')
  assert.equal(deleted.status, 202)
  const before = await answers(server, paths)
  await server.stop()
  const linksBefore = await links(server)
  await rm(join(server.root, 'docker/registry/v2/repositories'), { recursive: true })
  forgetBoot(server)

  await server.start()
  assert.deepEqual(await answers(server, paths), before, 'before the pass')
  await passed(server)
  assert.deepEqual(await answers(server, paths), before)
  await server.stop()
  assert.deepEqual(await links(server), linksBefore)
})

test('link files that a power loss emptied, and folders that it brought back, do no harm', async () => {
  await using server = await startServer({ onDisk: true })
  await passed(server)
  const paths = await fill(server)
  await wait(100)
  await server.restart()
  await passed(server)
  const withTag = await links(server)
  assert.equal((await send(server, 'DELETE', '/v2/app/manifests/latest')).status, 202)
  const before = await answers(server, paths)
  await server.stop()
  const linksBefore = await links(server)
  for (const [path, text] of Object.entries(withTag)) {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, path.includes('/latest/') ? text : '')
  }
  forgetBoot(server)

  await server.start()
  await passed(server)
  assert.deepEqual(await answers(server, paths), before)
  await server.stop()
  assert.deepEqual(await links(server), linksBefore)
})

test('a folder that is not the one of the database is refused with a sentence', async () => {
  await using server = await startServer({ onDisk: true, env: {} })
  const database = join(server.folder, 'elsewhere.sqlite')
  const env = { REGISTRY_DATABASE_PATH: database }
  await server.restart(env)
  await pushImage(server, 'app', '1.0', makeImage())
  await server.stop()
  await rename(server.root, `${server.root}-unmounted`)
  await assert.rejects(server.start(env), /is its disk mounted\?/)
  await rm(server.root, { recursive: true })
  await using foreign = await startServer({ onDisk: true })
  await pushImage(foreign, 'app', '2.0', makeImage())
  await foreign.stop()
  await rename(foreign.root, server.root)
  await assert.rejects(server.start(env), /belongs to another database/)
  await rm(server.root, { recursive: true })
  await rename(`${server.root}-unmounted`, server.root)
  await server.start(env)
  assert.deepEqual(json(await send(server, 'GET', '/v2/app/tags/list')), { name: 'app', tags: ['1.0'] })
})

test('a folder whose repositories are gone altogether is refused, unless they are still to be written', async () => {
  await using server = await startServer({ onDisk: true })
  await pushImage(server, 'app', '1.0', makeImage())
  await server.stop()
  const before = await links(server)
  const folder = join(server.root, 'docker/registry/v2/repositories')
  await rename(folder, `${folder}-away`)
  await assert.rejects(server.start(), /database knows app and perhaps more: is it mounted\?/)
  await mkdir(folder)
  await assert.rejects(server.start(), /is it mounted\?/)
  const db = new DatabaseSync(join(server.root, 'stowage/registry.sqlite'))
  db.prepare("update cursors set position = 0 where name = 'link-tree'").run()
  db.close()
  await server.start()
  await passed(server)
  assert.deepEqual(await links(server), before)
})

test('a registry that only reads takes a tree over, and serves it', async () => {
  await using server = await startServer({ onDisk: true })
  await pushImage(server, 'app', '1.0', makeImage())
  await server.stop()
  for (const name of await readdir(join(server.root, 'stowage')))
    if (name.startsWith('registry.sqlite')) await rm(join(server.root, 'stowage', name))
  await server.start({ REGISTRY_STORAGE_MAINTENANCE_READONLY: '{ enabled: true }' })
  assert.equal((await send(server, 'GET', '/v2/app/manifests/1.0')).status, 200)
  await server.log.first((line) => line.msg === 'the tree is read')
  assert.equal((await send(server, 'GET', '/v2/app/manifests/1.0')).status, 200)
})

test('junk in the way of a link file holds up no other', { timeout: PASS_MS_MAX }, async () => {
  await using server = await startServer({ onDisk: true })
  await pushImage(server, 'app', 'first', makeImage())
  await server.stop()
  const tags = join(server.root, 'docker/registry/v2/repositories/app/_manifests/tags')
  await writeFile(join(tags, 'junk'), 'a file')
  await server.start()
  await pushImage(server, 'app', 'junk', makeImage())
  await pushImage(server, 'app', 'last', makeImage())
  await server.restart()
  await server.log.first((line) => line.msg === 'the tree is read')
  const { tags: listed } = json(await send(server, 'GET', '/v2/app/tags/list')) as { tags: string[] }
  assert.deepEqual(listed, ['first', 'junk', 'last'])
})
