// Garbage, history and jobs from the command line, against a real server and against the folder of one that is stopped.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { EXIT } from '#cli/output.ts'
import { send } from '../http/client.ts'
import { makeImage, pushImage, randomContent } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { run, scratchFolder } from './run.ts'

const execFileAsync = promisify(execFile)
const folder = scratchFolder()
let server: TestServer

before(async () => {
  server = await startServer({ env: { REGISTRY_STORAGE_DELETE_ENABLED: 'true' }, onDisk: true })
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function done(args: readonly string[]): Promise<string[]> {
  const { code, results, notes } = await run(args)
  assert.equal(code, EXIT.ok, `${args.join(' ')}: ${notes.join('\n')}`)
  return results
}

const image = (name: string) => `${server.host}/${name}`

test('a deleted tag comes back, and one that was moved goes back', async () => {
  const [one, two] = [makeImage(), makeImage()]
  for (const made of [one, two]) await pushImage(server, 'team/app', 'stable', made)
  const history = await done(['history', image('team/app:stable')])
  assert.deepEqual(
    history.map((line) => line.split(/ {2,}/).slice(1, 4)),
    [
      ['pushed', two.manifest.digest, 'present'],
      ['pushed', one.manifest.digest, 'present'],
    ],
  )
  await done(['rollback', image('team/app:stable')])
  const head = () => send(server, 'HEAD', '/v2/team/app/manifests/stable')
  assert.equal((await head()).headers['docker-content-digest'], one.manifest.digest)
  await done(['delete', '--yes', image(`team/app@${one.manifest.digest}`)])
  assert.equal((await head()).status, 404)
  assert.deepEqual(
    (await done(['restore', image('team/app')])).map((line) => line.split(/ {2,}/)[0]),
    ['team/app:stable', `team/app@${one.manifest.digest}`],
  )
  await done(['restore', image('team/app:stable')])
  assert.deepEqual(await done(['restore', image('team/app')]), [])
  assert.equal((await head()).headers['docker-content-digest'], one.manifest.digest)
})

test('a tag that was deleted alone is listed, and comes back by its name', async () => {
  await pushImage(server, 'team/tags', 'v1', makeImage())
  await done(['delete', '--yes', image('team/tags:v1')])
  assert.match((await done(['restore', image('team/tags')])).join(), /^team\/tags:v1 {2}/)
  await done(['restore', image('team/tags:v1')])
  assert.equal((await send(server, 'HEAD', '/v2/team/tags/manifests/v1')).status, 200)
  assert.deepEqual(await done(['restore', image('team/tags')]), [])
})

test('an image is deleted at once', async () => {
  const leaked = makeImage([randomContent(500)])
  await pushImage(server, 'team/leaked', 'bad', leaked)
  await done(['delete', '--now', '--yes', image('team/leaked:bad')])
  assert.equal((await run(['restore', image('team/leaked:bad')])).code, EXIT.notFound)
})

test('a dry run of the collection says what it found, as a job that can be looked at', async () => {
  const lines = await done(['gc', '--server', server.host, '--dry-run'])
  assert.match(lines[0] ?? '', /would be deleted$/)
  const jobs = await done(['jobs', '--server', server.host, 'list', '--kind', 'gc'])
  const [id = ''] = (jobs[0] ?? '').split(/ {2,}/)
  assert.match(jobs[0] ?? '', /gc {2}done/)
  assert.ok((await done(['jobs', '--server', server.host, 'show', id])).includes('kind: gc'))
  assert.equal((await run(['jobs', '--server', server.host, 'cancel', id])).code, EXIT.failed)
  assert.ok((await done(['jobs', '--server', server.host, 'schedules'])).length >= 2)
})

test('registry garbage-collect prints what stays and what goes, and deletes it where nobody serves', async () => {
  await using own = await startServer({ onDisk: true })
  const kept = makeImage()
  const gone = makeImage()
  await pushImage(own, 'app', 'kept', kept)
  await pushImage(own, 'app', 'gone', gone)
  const path = `/v2/app/manifests/${gone.manifest.digest}`
  assert.equal((await send(own, 'DELETE', path)).status, 202)
  await own.stop()
  const config = join(own.folder, 'config.yml')
  const collect = async (...args: string[]) => {
    const bin = new URL('../../bin/stowage.js', import.meta.url).pathname
    const { stdout } = await execFileAsync(process.execPath, [bin, 'garbage-collect', ...args, config])
    return stdout.trimEnd().split('\n')
  }
  for (const args of [['--dry-run'], []]) {
    const lines = await collect(...args)
    assert.equal(lines[0], 'app')
    assert.ok(lines.includes(`app: marking manifest ${kept.manifest.digest} `))
    assert.ok(lines.includes(`app: marking blob ${kept.config.digest}`))
    assert.ok(lines.includes('3 blobs marked, 3 blobs and 0 manifests eligible for deletion'))
    assert.ok(lines.includes(`blob eligible for deletion: ${gone.layers[0]?.digest}`))
  }
  assert.ok((await collect()).includes('3 blobs marked, 0 blobs and 0 manifests eligible for deletion'))
  await own.start()
  assert.equal((await send(own, 'GET', '/v2/app/manifests/kept')).status, 200)
})
