// What a server loads that nobody asked for more than the protocol and its health: each library is memory of an idle process.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../processes/free-port.ts'
import { RunningProcess } from '../processes/running.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')

/** Writes the name of every package that is loaded into that file, a line each time. */
function watch(file: string): string {
  return `data:text/javascript,${encodeURIComponent(`
    import { appendFileSync } from 'node:fs'
    import { registerHooks } from 'node:module'
    registerHooks({ load(url, context, next) {
      const found = /\\/node_modules\\/((@[^/]+\\/)?[^/]+)\\//.exec(url)
      if (found) appendFileSync(${JSON.stringify(file)}, found[1] + '\\n')
      return next(url, context)
    } })`)}`
}

test('a server that is probed and pulled from loads neither web framework nor what logins, PostgreSQL and S3 need', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-loaded-'))
  const list = join(folder, 'loaded')
  const address = `127.0.0.1:${await freePort()}`
  const env = {
    REGISTRY_HTTP_ADDR: address,
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(folder, 'data'),
  }
  const server = await RunningProcess.start(
    'stowage',
    process.execPath,
    ['--import', watch(list), STOWAGE, 'serve'],
    { env },
  )
  const loaded = () => new Set(readFileSync(list, 'utf8').split('\n'))
  try {
    await server.untilAnswers(`http://${address}/healthz`)
    for (const path of ['/', '/readyz', '/v2/', '/v2/_catalog', '/v2/app/tags/list'])
      await (await fetch(`http://${address}${path}`)).arrayBuffer()
    const packages = loaded()
    for (const heavy of ['fastify', 'jose', 'pg', 'ldapts', 'openid-client', 'bcrypt', 'undici'])
      assert.ok(!packages.has(heavy), heavy)
    assert.ok(packages.has('kysely'), 'the list is filled')
    assert.ok(![...packages].some((name) => name.startsWith('@aws-sdk/')))
    assert.equal((await fetch(`http://${address}/api/v1/system`)).status, 200)
    assert.ok(loaded().has('fastify'), 'the rest of the server comes when it is asked for')
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
