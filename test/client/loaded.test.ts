// What a short command loads: each library that it does not need would be most of its time.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { copy } from '#client/copy.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { HostileRegistry } from './hostile-registry.ts'
import { LATEST, putImage } from './made-images.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')
/** Prints every file that is loaded below node_modules. */
const WATCH = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({ load(url, context, next) {
    if (url.includes('/node_modules/')) console.error('loaded ' + url)
    return next(url, context)
  } })`)}`

async function copyTo(hostile: HostileRegistry, memory: MemoryPlace): Promise<void> {
  const client = new RegistryClient({ host: hostile.host, plainHttp: true })
  const place = new RegistryPlace({ client, repository: parseRepositoryName('app'), push: true })
  await copy(memory, place, { tags: [LATEST] })
  await client.close()
}

test('a pull from a registry that answers plainly loads nothing from others but the command line', async () => {
  const hostile = await HostileRegistry.start()
  const folder = mkdtempSync(join(tmpdir(), 'loaded-'))
  try {
    const memory = new MemoryPlace()
    await putImage(memory, [1000, 2_000_000], LATEST)
    await copyTo(hostile, memory)
    const args = ['--import', WATCH, STOWAGE, 'pull', `http://${hostile.host}/app`, `oci:${folder}/out`]
    const { stderr } = await promisify(execFile)(process.execPath, args)
    const packages = new Set(
      [...stderr.matchAll(/^loaded .*\/node_modules\/([^/]+)\//gm)].map(([, name]) => name),
    )
    assert.deepEqual([...packages], ['commander'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await hostile.stop()
  }
})
