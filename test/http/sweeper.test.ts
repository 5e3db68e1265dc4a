// Uploads that nobody continues are swept; junk that lies among them does not stop that.
import assert from 'node:assert/strict'
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { sweepUploads } from '#maintenance/sweep-uploads.ts'
import { send } from './client.ts'
import { openSession } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const HOUR_MS = 3_600_000

let server: TestServer
let folder: string
before(async () => {
  server = await startServer({ onDisk: true })
  folder = join(server.root, 'stowage/uploads')
})
after(() => server[Symbol.asyncDispose]())

const sweep = (ageMs: number, dryRun = false) =>
  sweepUploads({ ...server.app.registry, now: () => Date.now() + 10 }, { ageMs, dryRun })
const idOf = (location: string) => location.split('/').at(-1) ?? ''

async function sessionWithBytes(): Promise<string> {
  const location = await openSession(server, 'app')
  await send(server, 'PATCH', location, { body: 'some bytes' })
  return location
}

async function makeOld(name: string): Promise<void> {
  const old = new Date(Date.now() - 1_000 * HOUR_MS)
  await utimes(join(folder, name), old, old)
}

test('a session with progress is kept, one without is dropped with its bytes', async () => {
  const location = await sessionWithBytes()
  assert.deepEqual(await sweep(HOUR_MS), { sessions: 0, orphans: 0 })
  assert.equal((await send(server, 'GET', location)).status, 204)
  assert.deepEqual(await sweep(0), { sessions: 1, orphans: 0 })
  assert.equal((await send(server, 'GET', location)).status, 404)
  assert.deepEqual(await readdir(folder), [])
  assert.equal(await server.app.registry.openUploads.count(), 0)
})

test('a session without bytes is dropped too', async () => {
  const location = await openSession(server, 'app')
  assert.deepEqual(await sweep(0), { sessions: 1, orphans: 0 })
  assert.equal((await send(server, 'GET', location)).status, 404)
})

test('more sessions than one step takes are all dropped', async () => {
  for (let number = 0; number < 250; number++) await openSession(server, 'app')
  assert.deepEqual(await sweep(0), { sessions: 250, orphans: 0 })
})

test('a dry run drops nothing', async () => {
  const location = await sessionWithBytes()
  await writeFile(join(folder, 'left-by-a-crash'), 'bytes')
  await makeOld('left-by-a-crash')
  assert.deepEqual(await sweep(0, true), { sessions: 1, orphans: 1 })
  assert.equal((await send(server, 'GET', location)).status, 204)
  assert.deepEqual((await readdir(folder)).sort(), [idOf(location), 'left-by-a-crash'].sort())
})

describe('distribution #4713: with junk in the folder', () => {
  const junk = ['.hidden', 'with space', 'ünïcode', 'a.b.c', `${'x'.repeat(100)}`, '-', '..._', 'startedat']
  before(async () => {
    for (const name of junk) await writeFile(join(folder, name), 'junk')
    await mkdir(join(folder, 'a-folder/hashstates/sha256'), { recursive: true })
    await writeFile(join(folder, 'a-folder/data'), 'an upload of registry:2')
    await mkdir(join(folder, 'empty-folder'))
    await symlink('/nonexistent/target', join(folder, 'dangling'))
    await symlink(server.folder, join(folder, 'leads-out'))
    await symlink(join(server.folder, 'config.yml'), join(folder, 'a-file-outside'))
    await writeFile(join(folder, 'zz-orphan'), 'bytes without a session')
    await makeOld('zz-orphan')
  })

  test('the sweeper drops what is its own, leaves what is not, and touches nothing outside', async () => {
    const location = await sessionWithBytes()
    const report = await sweep(0)
    assert.ok(report.sessions >= 1)
    assert.equal((await send(server, 'GET', location)).status, 404)
    const left = await readdir(folder)
    assert.ok(!left.includes('zz-orphan') && !left.includes(idOf(location)))
    for (const name of ['a-folder', 'empty-folder', '.hidden', 'with space', 'a.b.c'])
      assert.ok(left.includes(name), name)
    assert.ok((await readdir(server.folder)).includes('config.yml'))
    assert.deepEqual(server.log.of('error'), [])
  })

  test('the server starts, and uploads work', async () => {
    await server.restart()
    const location = await sessionWithBytes()
    assert.equal((await send(server, 'GET', location)).headers.range, '0-9')
    assert.equal((await send(server, 'DELETE', location)).status, 204)
  })
})

test('the server sweeps by itself, as the configuration says', async () => {
  await using own = await startServer({
    onDisk: true,
    env: { REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING: '{enabled: true, age: 1ms, interval: 50ms}' },
  })
  const location = await openSession(own, 'app')
  await own.log.first(({ msg }) => msg === 'abandoned uploads were swept')
  assert.equal((await send(own, 'GET', location)).status, 404)
})
