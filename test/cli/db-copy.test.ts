// `stowage db copy` with the real program: a registry moves to PostgreSQL and back, and says the same everywhere.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { json, send } from '../http/client.ts'
import { expectStatus, makeImage, pushImage } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { type PostgresServer, postgresAbsent, startPostgres } from '../processes/postgres-server.ts'
import { scratchFolder } from './run.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')
const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

function dbCopy(from: string, to: string, env: NodeJS.ProcessEnv = {}) {
  const args = [STOWAGE, '--json', 'db', 'copy', '--from', from, '--to', to]
  const text = execFileSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } })
  return JSON.parse(text)
}

function refusal(from: string, to: string): { readonly code: number | null; readonly said: string } {
  const args = [STOWAGE, 'db', 'copy', '--from', from, '--to', to]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return { code: status, said: stderr }
}

const tagsOf = async (server: TestServer) => json(await send(server, 'GET', '/v2/team/app/tags/list'))

describe('db copy', { skip: postgresAbsent() }, () => {
  let postgres: PostgresServer
  before(async () => {
    postgres = await startPostgres()
  })
  after(() => postgres.remove())

  test('moves a registry to PostgreSQL and back, with all that was pushed before and between', async () => {
    await using server = await startServer({ onDisk: true })
    await pushImage(server, 'team/app', '1', makeImage())
    const url = await postgres.createDatabase()
    assert.match(refusal(server.root, url).said, /another server has the folder/)
    await server.stop()

    const there = dbCopy(server.root, url)
    assert.deepEqual([there.differences, there.resumed], [[], false])
    const env = { REGISTRY_DATABASE_URL: url }
    await server.start(env)
    assert.deepEqual(await tagsOf(server), { name: 'team/app', tags: ['1'] })
    await pushImage(server, 'team/app', '2', makeImage())
    assert.match(refusal(url, server.root).said, /is in use: stop every server that has it/)
    await server.stop()

    const config = join(home, 'postgres.yml')
    writeFileSync(
      config,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: ${server.root} } }\ndatabase: { url: "${url}" }\n`,
    )
    const former = refusal(config, server.root)
    assert.deepEqual(
      [former.code, /registry.sqlite is not empty .* move that one away/.test(former.said)],
      [EXIT.failed, true],
      former.said,
    )
    const own = join(server.root, 'stowage', 'registry.sqlite')
    renameSync(own, `${own}.old`)
    // A variable of the shell does not turn the folder into the database that it names.
    const back = dbCopy(config, server.root, { REGISTRY_DATABASE_URL: url })
    assert.deepEqual([back.differences, back.to], [[], own])
    await server.start()
    assert.deepEqual(await tagsOf(server), { name: 'team/app', tags: ['1', '2'] })
    const third = makeImage()
    await pushImage(server, 'team/app', '3', third)
    expectStatus(await send(server, 'GET', `/v2/team/app/manifests/${third.manifest.digest}`), 200)
  })

  test('what is named has to be there, and to be two', () => {
    const nothing = join(home, 'nothing')
    assert.equal(refusal(nothing, postgres.url()).code, EXIT.notFound)
    assert.equal(refusal(`${nothing}.sqlite`, postgres.url()).code, EXIT.failed)
    assert.match(refusal(home, home).said, /are the same database/)
    const absent = refusal(`${nothing}.sqlite`, 'postgres://stowage@127.0.0.1:1/none')
    assert.equal(absent.code, EXIT.failed)
  })
})
