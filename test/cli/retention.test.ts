// Retention from the command line: rules, what would go and why, what went.
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { send, type Target } from '../http/client.ts'
import { makeImage, pushImage } from '../http/content.ts'
import { type Managed, PASSWORD, startManaged } from '../http/people.ts'
import { run, scratchFolder } from './run.ts'

const folder = scratchFolder()
let managed: Managed
let admin: Target
let env: Record<string, string>
before(async () => {
  managed = await startManaged()
  admin = managed.as('admin')
  const auth = Buffer.from(`admin:${PASSWORD}`).toString('base64')
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [managed.server.host]: { auth } } }))
  env = { DOCKER_CONFIG: folder }
  await managed.project('team')
  for (const tag of ['b1', 'b2', 'b3']) await pushImage(admin, 'team/app', tag, makeImage())
})
after(async () => {
  await managed[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function retention(...args: readonly string[]): Promise<string[]> {
  const { code, results, notes } = await run(
    ['admin', '--server', managed.server.host, 'retention', ...args],
    { env },
  )
  assert.equal(code, EXIT.ok, notes.join('\n'))
  return results
}

test('a rule is made, listed, tried, applied and removed', async () => {
  await retention('add', 'team', 'builds', '--tag', 'b*', '--newest', '2', '--except-tag', 'b-keep')
  assert.deepEqual(await retention('list', 'team'), ['builds  **:b*  except b-keep  keeps the 2 newest'])
  const dry = await retention('run', '--dry-run', '--project', 'team')
  assert.match(dry[0] ?? '', /^team\/app:b1 {2}builds: not one of the 2 newest, pushed today$/)
  assert.match(
    dry.at(-1) ?? '',
    /^1 tag and 1 manifest of 1 repository would go; \d+ B are needed by nothing else$/,
  )
  assert.equal((await send(admin, 'HEAD', '/v2/team/app/manifests/b1')).status, 200)
  assert.match((await retention('run')).at(-1) ?? '', /^1 tag and 1 manifest went$/)
  assert.equal((await send(admin, 'HEAD', '/v2/team/app/manifests/b1')).status, 404)
  await retention('remove', 'team', 'builds')
  assert.deepEqual(await retention('list', 'team'), [])
})

test('what nobody uses is told without a rule', async () => {
  const lines = await retention('unused', '--days', '1')
  assert.deepEqual(lines, ['0 tags and 0 manifests were not used for 1 day; 0 B are needed by nothing else'])
})
