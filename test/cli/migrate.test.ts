// Moving in from a running registry:2 with five hundred repositories, and the way back; and distribution 3.1.1 as a server.
import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { type Content, makeImage, randomContent } from '../http/content.ts'
import { startServer } from '../http/server.ts'
import { dockerRegistry, skipReason } from '../interchange/shared-folder.ts'
import { freePort } from '../processes/free-port.ts'
import { type RegistryServer, removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { RunningProcess } from '../processes/running.ts'
import { isExecutable } from '../tools/find-program.ts'
import { toolPath } from '../tools/pinned.ts'
import { type MadeLayout, makeLayout } from './made-layout.ts'
import { putImage } from './registry-folder.ts'
import { run, runJson, scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

const REPOSITORIES = 500
const SHARED = 4

describe('from distribution 2.8.2 with 500 repositories', { skip: skipReason }, () => {
  let old: RunningProcess
  let host = ''
  const unique = new Map<string, number>()

  before(async () => {
    const root = join(home, 'old')
    mkdirSync(root)
    const shared = Array.from({ length: SHARED }, () => randomContent(20_000))
    const note = ({ digest, bytes }: Content) => unique.set(digest, bytes.length)
    for (let at = 0; at < REPOSITORIES; at++) {
      const image = makeImage([...shared, randomContent(500), randomContent(500)])
      for (const content of [image.config, ...image.layers]) note(content)
      putImage(root, `team-${at % 7}/app-${at}`, '1', image)
    }
    host = `127.0.0.1:${await freePort()}`
    const file = join(home, 'old.yml')
    const storage = `filesystem: { rootdirectory: ${root} }, cache: { blobdescriptor: inmemory }`
    writeFileSync(
      file,
      `version: 0.1\nlog: { level: error }\nstorage: { ${storage} }\nhttp: { addr: ${host} }\n`,
    )
    old = await RunningProcess.start('docker-registry', dockerRegistry ?? '', ['serve', file])
    await old.untilAnswers(`http://${host}/v2/`)
  })
  after(() => old?.stop())

  test('all is copied, nothing twice, proved to be equal; a second run transfers nothing', async () => {
    await using server = await startServer({ onDisk: true })
    const sync = ['sync', '--from', `http://${host}`, '--to', server.host, '--all']
    const first = await runJson(sync)
    assert.deepEqual(
      [first.repositories, first.tags.copied, first.failures],
      [REPOSITORIES, REPOSITORIES, []],
    )
    const bytes = [...unique.values()].reduce((sum, size) => sum + size, 0)
    assert.deepEqual(first.copied, { blobs: unique.size, bytes })
    assert.equal(first.mounted.blobs, (REPOSITORIES - 1) * SHARED)
    assert.deepEqual(
      [first.proof.tags, first.proof.manifests, first.proof.blobs],
      [500, 500, 500 * (SHARED + 3)],
    )
    assert.deepEqual(first.proof.differences, [])
    const second = await runJson([...sync, '--no-proof'])
    assert.deepEqual([second.copied.blobs, second.mounted.blobs, second.manifestsCopied.total], [0, 0, 0])
    assert.equal(second.tags.unchanged, REPOSITORIES)
  })
})

const skip31 = isExecutable(toolPath('registry'))
  ? false
  : 'distribution is not installed: node test/tools/install.ts go'

describe('with distribution 3.1.1 as the server', { skip: skip31 }, () => {
  let server: RegistryServer
  let made: MadeLayout
  let app = ''
  before(async () => {
    server = await startRegistry('distribution')
    made = await makeLayout(join(home, 'made'))
    app = `${server.host}/team/app`
  })
  after(async () => {
    if (server) await removeRegistry(server)
  })

  test('push, inspect with referrers by the tag schema, verify, pull, tag and delete', async () => {
    const pushed = await run(['push', '--all-tags', '--referrers', made.folder, app])
    assert.equal(pushed.code, EXIT.ok, pushed.notes.join('\n'))
    const told = await runJson(['inspect', `${app}:1`])
    assert.equal(told.digest, made.one.descriptor.digest)
    assert.equal(told.referrers[0].digest, made.referrer.descriptor.digest)
    assert.deepEqual((await runJson(['verify', '--all-tags', '--referrers', app])).wrong, [])
    const archive = join(home, 'multi.tar')
    await runJson(['pull', `${app}:multi`, archive])
    assert.deepEqual((await runJson(['verify', `${archive}:multi`])).wrong, [])
    await runJson(['tag', `${app}:1`, 'stable'])
    await runJson(['delete', `${app}:stable`])
    assert.ok(!(await run(['list', app])).results.includes('stable'))
    await runJson(['copy', `${app}:2`, `${server.host}/other/app:2`])
    assert.deepEqual((await run(['list', server.host])).results, ['other/app', 'team/app'])
  })

  test('the way back: what Stowage holds goes there, signatures and referrers too, and equals', async () => {
    await using ours = await startServer()
    await runJson(['push', '--all-tags', '--referrers', made.folder, `${ours.host}/back/app`])
    const sync = ['sync', '--from', ours.host, '--to', server.host, '--all']
    const first = await runJson(sync)
    assert.deepEqual([first.failures, first.proof.differences, first.proof.referrers], [[], [], 1])
    const second = await runJson(sync)
    assert.deepEqual([second.copied.blobs, second.manifestsCopied.total], [0, 0])
    await using again = await startServer()
    const home2 = await runJson(['sync', '--from', server.host, '--to', again.host, 'back/app'])
    assert.deepEqual([home2.failures, home2.proof.differences], [[], []])
    const { referrers } = await runJson(['inspect', `${again.host}/back/app:1`])
    assert.equal(referrers[0].digest, made.referrer.descriptor.digest)
  })
})
