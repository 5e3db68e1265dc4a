// `stowage db rebuild`, with the real program: from the tree alone the facts become what they were.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { EXIT } from '#cli/output.ts'
import { usageDifferences } from '#db/usage-recount.ts'
import { json, send } from '../http/client.ts'
import { expectStatus, makeImage, pushImage } from '../http/content.ts'
import { startManaged } from '../http/people.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'
import { answers, fill } from './filled-server.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')

function rebuild(...args: string[]) {
  const { status, stdout } = spawnSync(process.execPath, [STOWAGE, '--json', 'db', 'rebuild', ...args], {
    encoding: 'utf8',
  })
  return { code: status, told: JSON.parse(stdout) }
}

const databaseOf = (server: TestServer) => {
  const apart = join(server.folder, 'facts', 'registry.sqlite')
  return existsSync(apart) ? apart : join(server.root, 'stowage', 'registry.sqlite')
}

/** By names, since rows are numbered anew. Times are those of the pass where nothing is carried over. */
const FACTS: Readonly<Record<string, string>> = {
  repositories: 'select name, listed, project from repositories order by 1',
  tags: `select r.name, t.name as tag, m.digest from tags t join repositories r on r.id = t.repository_id
    join manifests m on m.id = t.manifest_id order by 1, 2`,
  manifests: `select r.name, m.digest, b.digest as bytes, media_type, m.size, artifact_type, subject, annotations
    from manifests m join repositories r on r.id = m.repository_id join blobs b on b.id = m.blob_id order by 1, 2`,
  children: `select r.name, m.digest, c.digest as child from manifest_children c join manifests m on m.id = c.manifest_id
    join repositories r on r.id = m.repository_id order by 1, 2, 3`,
  layers: `select r.name, m.digest, b.digest as blob from manifest_blobs x join manifests m on m.id = x.manifest_id
    join repositories r on r.id = m.repository_id join blobs b on b.id = x.blob_id order by 1, 2, 3`,
  aliases: `select a.digest, b.digest as bytes from blob_aliases a join blobs b on b.id = a.blob_id
    where exists (select 1 from repository_blobs x where x.blob_id = b.id)
      or exists (select 1 from manifests m where m.blob_id = b.id) order by 1`,
  held: `select r.name, b.digest, b.size from repository_blobs x join repositories r on r.id = x.repository_id
    join blobs b on b.id = x.blob_id order by 1, 2`,
  usage: `select scope, sum(bytes) as bytes, sum(repositories) as repositories, sum(tags) as tags from (
    select scope, bytes, repositories, tags from usage_totals
    union all select scope, bytes, repositories, tags from usage_deltas) group by scope
    having sum(bytes) <> 0 or sum(repositories) <> 0 or sum(tags) <> 0 order by 1`,
}
const TIMES: Readonly<Record<string, string>> = {
  repositories: 'select name, created_at from repositories order by 1',
  tags: `select r.name, t.name as tag, t.created_at, t.updated_at from tags t join repositories r on r.id = t.repository_id order by 1, 2`,
  manifests: `select r.name, digest, m.created_at, pushed_by from manifests m join repositories r on r.id = m.repository_id order by 1, 2`,
  links: `select r.name, b.digest, x.created_at, pushed_by from repository_blobs x join repositories r on r.id = x.repository_id
    join blobs b on b.id = x.blob_id order by 1, 2`,
}

function look(server: TestServer, queries: Readonly<Record<string, string>>): Record<string, unknown[]> {
  const database = new DatabaseSync(databaseOf(server))
  try {
    return Object.fromEntries(
      Object.entries(queries).map(([name, sql]) => [name, database.prepare(sql).all()]),
    )
  } finally {
    database.close()
  }
}

async function filled(): Promise<{ server: TestServer; paths: string[] }> {
  const server = await startServer({ onDisk: true })
  const paths = await fill(server)
  const gone = makeImage()
  await pushImage(server, 'app', 'gone', gone)
  expectStatus(await send(server, 'DELETE', `/v2/app/manifests/${gone.manifest.digest}`), 202)
  expectStatus(await send(server, 'DELETE', `/v2/app/blobs/${gone.layers[0]?.digest}`), 202)
  return { server, paths: [...paths, '/v2/app/manifests/gone'] }
}

test('the facts of the tree are those of the database that was there', async () => {
  const { server, paths } = await filled()
  await using _ = server
  const said = await answers(server, paths)
  await server.stop()
  const [facts, times] = [look(server, FACTS), look(server, TIMES)]
  assert.ok(Object.values(facts).every((rows) => rows.length > 0))

  const { code, told } = rebuild(server.root)
  assert.equal(code, EXIT.ok)
  assert.deepEqual(look(server, FACTS), facts)
  assert.deepEqual(look(server, TIMES), times)
  assert.deepEqual(told.found, {
    repositories: facts['repositories']?.length,
    manifests: facts['manifests']?.length,
    tags: facts['tags']?.length,
  })
  for (const { onlyBefore, onlyNow } of told.carried.differences)
    assert.deepEqual([onlyBefore, onlyNow], [0, 0])
  assert.ok(existsSync(told.kept))
  await server.start()
  assert.deepEqual(await answers(server, paths), said)
  await server.log.first((line) => line.msg === 'the tree is read')
  assert.deepEqual(await answers(server, paths), said)
})

test('without the old database the facts of contents are the same', async () => {
  const { server, paths } = await filled()
  await using _ = server
  const said = await answers(server, paths)
  await server.stop()
  const facts = look(server, FACTS)
  const path = databaseOf(server)
  writeFileSync(path, 'no database any more')
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
  const refused = rebuild(server.root)
  assert.equal(refused.code, EXIT.failed)
  assert.match(refused.told.error.message, /the old database cannot be used/)
  assert.match(refused.told.error.hint, /--alone/)

  const { code, told } = rebuild('--alone', server.root)
  assert.equal(code, EXIT.ok)
  assert.equal(told.carried, undefined)
  assert.deepEqual(look(server, FACTS), facts)
  await server.start()
  assert.deepEqual(await answers(server, paths), said)
})

test('facts that were damaged are mended, and told', async () => {
  const { server, paths } = await filled()
  await using _ = server
  const said = await answers(server, paths)
  await server.stop()
  const facts = look(server, FACTS)
  const database = new DatabaseSync(databaseOf(server))
  database.exec(`delete from manifest_blobs; update manifests set media_type = 'wrong/type', annotations = null;
    delete from tags where name = '1.0'; update usage_totals set bytes = 7`)
  database.close()
  const { told } = rebuild(server.root)
  assert.deepEqual(look(server, FACTS), facts)
  assert.deepEqual(told.carried.differences[0], { what: 'tags', onlyBefore: 0, onlyNow: 1 })
  await server.start()
  assert.deepEqual(await answers(server, paths), said)
})

test('a push whose link files a crash left unwritten is not lost', async () => {
  const { server } = await filled()
  await using _ = server
  const image = makeImage()
  await pushImage(server, 'late/push', 'v1', image)
  await server.stop()
  rmSync(join(server.root, 'docker/registry/v2/repositories/late'), { recursive: true })
  const database = new DatabaseSync(databaseOf(server))
  database.exec(`update cursors set position = (select min(id) - 1 from events where repository = 'late/push')
    where name = 'link-tree'`)
  database.close()
  assert.equal(rebuild(server.root).code, EXIT.ok)
  await server.start()
  const got = await send(server, 'GET', '/v2/late/push/manifests/v1')
  assert.deepEqual(got.body, image.manifest.bytes)
})

test('a bucket with link files is as good as a folder', { skip: gatewayIsMissing() ?? false }, async () => {
  const gateway = await S3Gateway.start()
  try {
    const s3 = gateway.storageConfig(gateway.newBucket())
    await using server = await startServer({ s3, env: { REGISTRY_STORAGE_TREE: 'true' } })
    const paths = await fill(server)
    const said = await answers(server, paths)
    await server.stop()
    const facts = look(server, FACTS)
    const config = join(server.folder, 'rebuild.yml')
    const database = { path: databaseOf(server) }
    writeFileSync(config, stringify({ version: 0.1, storage: { s3, tree: true }, database }))
    assert.equal(rebuild(config).code, EXIT.ok)
    assert.deepEqual(look(server, FACTS), facts)
    await server.start()
    assert.deepEqual(await answers(server, paths), said)
    await server.stop()
    writeFileSync(config, stringify({ version: 0.1, storage: { s3 }, database }))
    assert.equal(rebuild(config).code, EXIT.ok, 'SQLite keeps link files by default')
    writeFileSync(config, stringify({ version: 0.1, storage: { s3, tree: false }, database }))
    assert.match(rebuild(config).told.error.message, /storage.tree is off/)
  } finally {
    await gateway.stop()
  }
})

test('people, rules, quotas, history and the audit log are carried over', async () => {
  await using managed = await startManaged({ onDisk: true })
  const { server } = managed
  await managed.users('ann', 'bob')
  await managed.project('team', { ann: 'developer', bob: 'developer' })
  await managed.manage('PUT', '/projects/team/quota', { bytes: 1_000_000 })
  const secret = await managed.robot('team+ci', { 'team/**': ['pull'] })
  const [first, second] = [makeImage(), makeImage()]
  const [ann, bob] = [managed.as('ann'), managed.as('bob')]
  await pushImage(ann, 'team/app', 'v1', first)
  await pushImage(bob, 'team/app', 'v1', second)
  const figures = async () => [
    await managed.manage('GET', '/projects/team/quota'),
    await managed.manage('GET', '/users/ann/quota'),
    await managed.manage('GET', '/projects/team/members'),
  ]
  const before = await figures()
  await server.stop()
  const times = look(server, TIMES)
  const { told } = rebuild(server.root)
  assert.deepEqual(look(server, TIMES), times)
  assert.equal(told.carried.rows.users, 3)
  const audit = spawnSync(process.execPath, [STOWAGE, 'audit', 'verify', '--data', server.root], {
    encoding: 'utf8',
  })
  assert.equal(audit.status, EXIT.ok, audit.stderr)
  await server.start()
  assert.deepEqual(await figures(), before)
  assert.deepEqual(await usageDifferences(server.app.registry.db), [])
  const robot = managed.as('team+ci', secret)
  expectStatus(await send(robot, 'GET', `/v2/team/app/manifests/${first.manifest.digest}`), 200)
  const again = makeImage()
  await pushImage(ann, 'team/app', 'v2', again)
  const tags = json(await send(ann, 'GET', '/v2/team/app/tags/list'))
  assert.deepEqual(tags, { name: 'team/app', tags: ['v1', 'v2'] })
})

test('nothing is rebuilt from a tree that is not there, or beside a server', async () => {
  const { server } = await filled()
  await using _ = server
  assert.match(rebuild(server.root).told.error.message, /another server has the folder/)
  await server.stop()
  rmSync(join(server.root, 'docker/registry/v2/repositories'), { recursive: true })
  const own = () =>
    readdirSync(join(server.root, 'stowage')).filter((name) => name.startsWith('registry.sqlite'))
  const files = own()
  for (const args of [[server.root], ['--alone', server.root]]) {
    const { code, told } = rebuild(...args)
    assert.equal(code, EXIT.failed)
    assert.match(told.error.message, /is it mounted\?/)
  }
  assert.deepEqual(own(), files)
})
