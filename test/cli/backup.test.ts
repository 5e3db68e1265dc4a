// The backup that docs/operate/backup.md describes, by its own script, while images are pushed, moved and deleted.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { send } from '../http/client.ts'
import { expectStatus, type Image, makeImage, openSession, pushImage } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { findProgram } from '../tools/find-program.ts'
import { scratchFolder } from './run.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')
const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

const execute = promisify(execFile)

/** The script of the page, with the program of this folder; where rsync is absent, cp copies the same. */
function scriptOf(page: string): string {
  const [, script] = /```sh\n(#!\/bin\/sh\n# backup\.sh [\s\S]*?)```/.exec(readFileSync(page, 'utf8')) ?? []
  assert.ok(script)
  const path = join(home, 'backup.sh')
  const ours = [`npx() { shift; '${process.execPath}' '${STOWAGE}' "$@"; }`]
  if (!findProgram('rsync')) ours.push('rsync() { cp "$@"; }')
  writeFileSync(path, `${ours.join('\n')}\n${script}`)
  return path
}

/** What was acknowledged, by tag. */
type Acknowledged = Map<string, Image>

class Pusher {
  readonly acknowledged: Acknowledged = new Map()
  readonly #server: TestServer
  readonly #name: string
  readonly #running: Promise<void>
  #ended = false
  pushes = 0

  constructor(server: TestServer, name: string) {
    this.#server = server
    this.#name = name
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#ended; number++) {
      await this.#push(`v${number}`)
      await this.#push('latest')
      if (number % 3 === 0) {
        expectStatus(await send(this.#server, 'DELETE', `/v2/${this.#name}/manifests/v${number}`), 202)
        this.acknowledged.delete(`v${number}`)
      }
    }
  }

  async #push(tag: string): Promise<void> {
    const image = makeImage()
    await pushImage(this.#server, this.#name, tag, image)
    this.acknowledged.set(tag, image)
    this.pushes += 1
  }

  async end(): Promise<void> {
    this.#ended = true
    await this.#running
  }
}

async function isWhole(server: TestServer, name: string, reference: string, image: Image): Promise<void> {
  const manifest = await send(server, 'GET', `/v2/${name}/manifests/${reference}`)
  assert.deepEqual(manifest.body, image.manifest.bytes, `${name}:${reference}`)
  for (const { digest, bytes } of [image.config, ...image.layers])
    assert.deepEqual((await send(server, 'GET', `/v2/${name}/blobs/${digest}`)).body, bytes)
}

test('a backup beside pushes, restored into an empty folder, has every image from before it', async () => {
  const script = scriptOf('docs/operate/backup.md')
  await using server = await startServer({ onDisk: true })
  const names = ['team/one', 'team/two', 'three']
  const pushers = names.map((name) => new Pusher(server, name))
  while (pushers.some(({ pushes }) => pushes < 20)) await new Promise(setImmediate)
  const open = await openSession(server, 'team/one')
  expectStatus(await send(server, 'PATCH', open, { body: Buffer.from('some') }), 202)
  const before = pushers.map(({ acknowledged }) => new Map(acknowledged))
  const pushesBefore = pushers.map(({ pushes }) => pushes)
  const backup = join(home, 'backup')
  await execute('sh', [script, server.root, backup])
  assert.ok(
    pushers.every(({ pushes }, index) => pushes > (pushesBefore[index] ?? 0)),
    'pushes went on meanwhile',
  )
  for (const pusher of pushers) await pusher.end()
  assert.deepEqual(readdirSync(join(backup, 'docker/registry/v2')), ['blobs'])

  const folder = join(home, 'restored')
  cpSync(backup, join(folder, 'data'), { recursive: true, preserveTimestamps: true })
  await using restored = await startServer({ onDisk: true, folder })
  for (const phase of ['before the pass', 'after the pass', 'after another start']) {
    for (const [index, name] of names.entries()) {
      for (const [tag, image] of before[index] ?? []) {
        // What was deleted or moved while the snapshot was made may be either way, but what it was is there by its digest.
        const isSame = pushers[index]?.acknowledged.get(tag) === image
        await isWhole(restored, name, isSame ? tag : image.manifest.digest, image).catch((error) => {
          throw new Error(`${phase}: ${error}`)
        })
      }
    }
    if (phase === 'before the pass') await restored.log.first((line) => line.msg === 'the tree is read')
    if (phase === 'after the pass') await restored.restart()
  }
  expectStatus(await send(restored, 'GET', open), 404)
  expectStatus(await send(restored, 'PATCH', open, { body: Buffer.from('more') }), 404)
})
