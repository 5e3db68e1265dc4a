// Two tiers from the command line: what a plan tells, and what a run moves.
import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { send } from '../http/client.ts'
import { makeImage, pushImage, randomContent } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { run, scratchFolder } from './run.ts'

const MB = 1_000_000
const folder = scratchFolder()
const layer = randomContent(2 * MB)
let server: TestServer

before(async () => {
  server = await startServer({
    onDisk: true,
    env: {
      REGISTRY_STORAGE_TIERS_COLD_FILESYSTEM_ROOTDIRECTORY: join(folder, 'cold'),
      REGISTRY_STORAGE_TIERS_MOVEAFTER: '1ms',
      REGISTRY_STORAGE_TIERS_PRICES_HOT: '100000',
      REGISTRY_STORAGE_TIERS_PRICES_COLD: '10000',
      REGISTRY_STORAGE_TIERS_PRICES_READ: '50000',
    },
  })
  await pushImage(server, 'team/app', 'v1', makeImage([layer]))
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function tier(...args: readonly string[]): Promise<string[]> {
  const { code, results, notes } = await run(['tier', '--server', server.host, ...args])
  assert.equal(code, EXIT.ok, notes.join('\n'))
  return results
}

const coldFiles = async () =>
  (await readdir(join(folder, 'cold'), { recursive: true })).filter((file) => file.endsWith('/data'))

test('a plan compares policies: what moves, what it costs a month before and after; and moves nothing', async () => {
  const [head = '', columns = '', ...rows] = await tier('plan')
  assert.match(head, /^hot: 3 blobs, 2\.00 MB {4}cold: 0 blobs, 0 B {4}200\.\d\d a month now$/)
  assert.match(columns, /^unused for {2,}moves down {2,}to be copied/)
  assert.equal(rows.length, 1)
  assert.match(
    rows[0] ?? '',
    /^0\.001 s {2,}1 blob, 2\.00 MB {2,}2\.00 MB {2,}20\.\d\d {2,}180\.00 {2,}100\.00$/,
  )
  const compared = await tier('plan', '--after-days', '7', '30')
  assert.deepEqual(
    compared.slice(2).map((line) => line.split(/ {2,}/).slice(0, 2)),
    [
      ['7 days', '0 blobs, 0 B'],
      ['30 days', '0 blobs, 0 B'],
    ],
  )
  assert.deepEqual(await coldFiles(), [])
})

test('a run moves what the policy says, and what moved is still served', async () => {
  assert.deepEqual(await tier('run', '--after-days', '1'), [
    '0 blobs, 0 B moved to the cold store, 0 B of it copied',
  ])
  assert.deepEqual(await tier('run'), ['1 blob, 2.00 MB moved to the cold store, 2.00 MB of it copied'])
  assert.equal((await coldFiles()).length, 1)
  const answer = await send(server, 'GET', `/v2/team/app/blobs/${layer.digest}`)
  assert.ok(answer.body.equals(layer.bytes))
})

test('a registry with one store says that it has none to move to', async () => {
  await using single = await startServer()
  const { code, notes } = await run(['tier', '--server', single.host, 'plan'])
  assert.equal(code, EXIT.failed)
  assert.match(notes.join('\n'), /has one store only\n.*storage\.tiers\.cold/)
  const kinds = await run(['jobs', '--server', single.host, 'kinds'])
  assert.ok(kinds.results.some((line) => line.startsWith('gc  ')))
})
