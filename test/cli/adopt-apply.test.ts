// adopt --apply, with the real program: the folder is indexed, and a server that starts on it has all of it at once.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeImage, pushImage } from '../http/content.ts'
import { startServer } from '../http/server.ts'
import { scratchFolder } from './run.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')
const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

test('adopt --apply indexes a folder that has only link files and blobs', async () => {
  const folder = join(home, 'server')
  const image = makeImage()
  await using server = await startServer({ onDisk: true, folder })
  await pushImage(server, 'team/app', '1', image)
  await server.stop()
  const own = join(server.root, 'stowage')
  rmSync(own, { recursive: true })
  const told = execFileSync(process.execPath, [STOWAGE, '--json', 'adopt', '--apply', server.root], {
    encoding: 'utf8',
  })
  const { dryRun, adopted, repositories } = JSON.parse(told)
  assert.deepEqual([dryRun, repositories], [false, 1])
  assert.ok(adopted.seconds > 0)
  assert.ok(existsSync(join(own, 'registry.sqlite')))
  await server.start()
  const answer = await fetch(`http://${server.host}/v2/team/app/manifests/${image.manifest.digest}`)
  assert.equal(await answer.text(), image.manifest.bytes.toString())
})

test('a folder that a server has open is not taken over', async () => {
  await using server = await startServer({ onDisk: true })
  await pushImage(server, 'team/app', '1', makeImage())
  assert.throws(
    () =>
      execFileSync(process.execPath, [STOWAGE, 'adopt', '--apply', server.root], {
        encoding: 'utf8',
        stdio: 'pipe',
      }),
    /in use|holds|another/i,
  )
})
