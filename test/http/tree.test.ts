// storage.tree: link files beside the blobs, or none; turned off and on again.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { REPOSITORIES_FOLDER, tagCurrentLink } from '#blobs/layout.ts'
import { continueLinks } from '#maintenance/still-tree.ts'
import { digestOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { refusalOf, send } from './client.ts'
import { expectStatus, makeImage, pushImage } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const OFF = { REGISTRY_STORAGE_TREE: 'false' }
const WAIT_MS_MAX = 10_000

const linkOf = (server: TestServer, name: string, tag: string) =>
  join(server.root, tagCurrentLink(parseRepositoryName(name), parseTag(tag)))
const statusOf = async (server: TestServer, name: string, tag: string) =>
  (await send(server, 'HEAD', `/v2/${name}/manifests/${tag}`)).status

async function until(met: () => boolean): Promise<void> {
  for (let waited = 0; waited < WAIT_MS_MAX; waited += 20) {
    if (met()) return
    await wait(20)
  }
  throw new Error('it did not come to pass')
}

describe('storage.tree', () => {
  test('off: no link file is written, and a restart serves everything from the facts', async () => {
    await using server = await startServer({ onDisk: true, env: OFF })
    await pushImage(server, 'app', '1', makeImage())
    await server.restart()
    assert.equal(existsSync(join(server.root, REPOSITORIES_FOLDER)), false)
    assert.equal(await statusOf(server, 'app', '1'), 200)
  })

  test('off: what another program left is taken over, once', async () => {
    await using server = await startServer({ onDisk: true })
    await pushImage(server, 'app', '1', makeImage())
    await pushImage(server, 'app', '2', makeImage())
    await server.stop()
    await server.loseFacts()
    await server.start(OFF)
    assert.deepEqual([await statusOf(server, 'app', '1'), await statusOf(server, 'app', '2')], [200, 200])
    await until(() => server.app.treeRead())
    await rm(linkOf(server, 'app', '1'))
    await server.restart(OFF)
    assert.equal(server.app.treeRead(), true, 'it is not read again')
    assert.equal(await statusOf(server, 'app', '1'), 200)
  })

  test('on again: what happened meanwhile is written first, and nothing is taken for deleted', async () => {
    await using server = await startServer({ onDisk: true })
    await pushImage(server, 'app', 'before', makeImage())
    await pushImage(server, 'app', 'dropped', makeImage())
    await server.restart(OFF)
    await pushImage(server, 'app', 'meanwhile', makeImage())
    expectStatus(await send(server, 'DELETE', '/v2/app/manifests/dropped'), 202)
    await server.restart()
    await until(() => server.app.treeRead())
    for (const [tag, status] of [
      ['before', 200],
      ['meanwhile', 200],
      ['dropped', 404],
    ] as const) {
      assert.equal(await statusOf(server, 'app', tag), status, tag)
      assert.equal(existsSync(linkOf(server, 'app', tag)), status === 200, tag)
    }
  })

  test('on again after the events may be gone: refused, since a missing link would look like a delete', async () => {
    await using server = await startServer({ onDisk: true, env: OFF })
    const { db, now } = server.app.registry
    const day = 86_400_000
    await assert.rejects(continueLinks(db, now() + 2 * day, day), /leave storage\.tree: false/)
    await continueLinks(db, now() + 2 * day, 0)
  })
})

test('CVE-2026-32590: an upload that registry:2 left is nobody’s session, and what it noted of its hash is never read', async () => {
  await using own = await startServer({ onDisk: true })
  await pushImage(own, 'up', 'v1', makeImage())
  const id = '6b3c9a93-b4f8-4be5-b2a1-4d1fd3a0c8a1'
  const folder = join(own.root, 'docker/registry/v2/repositories/up/_uploads', id)
  await mkdir(join(folder, 'hashstates/sha256'), { recursive: true })
  const files = { data: 'half', startedat: new Date().toISOString(), 'hashstates/sha256/4': '\u0000evil' }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  await own.restart()
  const path = `/v2/up/blobs/uploads/${id}`
  for (const [method, address] of [
    ['GET', path],
    ['PATCH', path],
    ['PUT', `${path}?digest=${digestOf('half')}`],
    ['DELETE', path],
  ] as const)
    assert.equal(refusalOf(await send(own, method, address)), '404 BLOB_UPLOAD_UNKNOWN', method)
  for (const [name, text] of Object.entries(files))
    assert.equal(await readFile(join(folder, name), 'utf8'), text, name)
})
