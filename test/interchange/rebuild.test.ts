// The tree of link files and the facts stand in for each other: what one lost, the other brings back.
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { json, send } from '../http/client.ts'
import { makeImage, pushImage } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { answers, fill } from './filled-server.ts'

const PASS_MS_MAX = 20_000
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
