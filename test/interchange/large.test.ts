// A large tree of another program is taken over in bounded memory, while clients are answered. How long it took is told.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import { encodedOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { json, send } from '../http/client.ts'
import { type Content, type Image, makeImage } from '../http/content.ts'
import { cpuSecondsOf, memoryOf } from '../processes/usage.ts'
import { SharedFolder } from './shared-folder.ts'

const MiB = 1024 * 1024
const TAGS = Number(process.env['INTERCHANGE_TAGS'] ?? 5_000)
const REPOSITORIES = 500
/** Tags share manifests, as the tags of daily builds do that changed nothing. */
const TAGS_PER_IMAGE = 20
const MEMORY_BYTES_MAX = 350 * MiB
const PASS_MS_MAX = 600_000
/** Between requests: clients that never pause would be all that is measured. */
const PAUSE_MS = 50

function writeTree(shared: SharedFolder): Image {
  const write = (path: string, text: Buffer | string) => {
    const absolute = `${shared.root}/${path}`
    mkdirSync(dirname(absolute), { recursive: true })
    writeFileSync(absolute, text)
  }
  const writeData = ({ digest, bytes }: Content) => {
    const hex = encodedOf(digest)
    write(`docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, bytes)
  }
  const writeImage = (name: string, image: Image, tags: readonly string[]) => {
    const repository = parseRepositoryName(name)
    for (const blob of [image.config, ...image.layers]) write(layerLink(repository, blob.digest), blob.digest)
    write(revisionLink(repository, image.manifest.digest), image.manifest.digest)
    for (const tag of tags) write(tagCurrentLink(repository, parseTag(tag)), image.manifest.digest)
  }
  const store = (image: Image) => {
    for (const content of [image.manifest, image.config, ...image.layers]) writeData(content)
    return image
  }
  const common = store(makeImage())
  for (let index = 0; index < REPOSITORIES; index++) writeImage(`many/r${index}`, common, ['latest'])
  let image = common
  for (let index = 0; index < TAGS; index += TAGS_PER_IMAGE) {
    image = store(makeImage(common.layers))
    const tags = Array.from({ length: TAGS_PER_IMAGE }, (_, offset) => `t${index + offset}`)
    writeImage('huge', image, tags)
  }
  return image
}

/** A file system in memory with room for many small files, where there is one: making them is not what is measured. */
async function quickFolder(): Promise<string> {
  const found = await statfs('/dev/shm').catch(() => undefined)
  return found && found.bavail * found.bsize > 1024 * MiB ? '/dev/shm' : tmpdir()
}

test(`${TAGS} tags and ${REPOSITORIES} repositories are taken over while clients are answered`, async (t) => {
  await using shared = await SharedFolder.make(await quickFolder())
  const last = writeTree(shared)
  const running = await shared.stowage()
  let answered = 0
  let slowestMs = 0
  while (!running.output.includes('the tree is read')) {
    const start = performance.now()
    const number = answered % REPOSITORIES
    const [one, other] = [
      await send(shared, 'GET', `/v2/many/r${REPOSITORIES - 1 - number}/manifests/latest`),
      await send(shared, 'GET', `/v2/huge/manifests/t${TAGS - 1 - (number % TAGS_PER_IMAGE)}`),
    ]
    slowestMs = Math.max(slowestMs, performance.now() - start)
    assert.deepEqual([one.status, other.status], [200, 200])
    assert.deepEqual(other.body, last.manifest.bytes)
    answered += 1
    await wait(PAUSE_MS)
    assert.ok(performance.now() - running.startedAtMs < PASS_MS_MAX, running.output)
  }
  const cpuSeconds = cpuSecondsOf(running.pid)
  const { tags } = json(await send(shared, 'GET', `/v2/huge/tags/list?n=${TAGS}`)) as { tags: string[] }
  assert.equal(tags.length > 0, true)
  const { peakBytes } = memoryOf(running.pid)
  assert.ok(peakBytes < MEMORY_BYTES_MAX, `${peakBytes} bytes were resident`)
  const line = running.output.split('\n').find((text) => text.includes('the tree is read'))
  t.diagnostic(`${answered} pairs of GETs, the slowest ${Math.round(slowestMs)} ms; peak ${peakBytes} bytes`)
  t.diagnostic(`${cpuSeconds} s of CPU since the start: ${line}`)
  assert.ok(answered > 0)
  await shared.stop()
})
