// What many images have in common is stored once: the folder grows by the base and by what differs.
import assert from 'node:assert/strict'
import { lstat } from 'node:fs/promises'
import { test } from 'node:test'
import { send } from './client.ts'
import { makeImage, pushBlob, pushImage, randomContent } from './content.ts'
import { filesBelow, startServer } from './server.ts'

const MiB = 1024 * 1024
const IMAGES = 100
const BASE_BYTES = [4 * MiB, 2 * MiB]
const DELTA_BYTES = 8_000

async function bytesOf(files: readonly string[]): Promise<number> {
  const stats = await Promise.all(files.map((file) => lstat(file)))
  return stats.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
}

test('100 images on one base take the room of the base and of 100 deltas', async (t) => {
  await using server = await startServer({ onDisk: true })
  const base = BASE_BYTES.map((size) => randomContent(size))
  for (const layer of base) await pushBlob(server, 'base', layer)
  const blobs = async () => (await filesBelow(server.root)).filter((file) => file.includes('/blobs/sha256/'))
  const before = await bytesOf(await blobs())
  let deltas = 0
  const pushes = Array.from({ length: IMAGES }, async (_, number) => {
    const image = makeImage([...base, randomContent(DELTA_BYTES)])
    const name = `apps/app${number}`
    for (const layer of base) {
      const mounted = await send(server, 'POST', `/v2/${name}/blobs/uploads/?mount=${layer.digest}&from=base`)
      assert.equal(mounted.status, 201)
    }
    // A client that does not mount sends the base again: it must not be stored again.
    if (number % 25 === 0) await pushImage(server, name, 'v1', image)
    else await pushImage(server, name, 'v1', { ...image, layers: image.layers.slice(base.length) })
    deltas += DELTA_BYTES + image.config.bytes.length + image.manifest.bytes.length
  })
  await Promise.all(pushes)
  const files = await blobs()
  const grown = (await bytesOf(files)) - before
  const apart = IMAGES * (BASE_BYTES[0] ?? 0) + IMAGES * (BASE_BYTES[1] ?? 0) + deltas
  t.diagnostic(
    `base ${before} bytes, ${IMAGES} images added ${grown} bytes of blobs (deltas ${deltas}); kept apart they would take ${apart}`,
  )
  assert.equal(
    before,
    BASE_BYTES.reduce((sum, size) => sum + size, 0),
  )
  assert.equal(grown, deltas)
  assert.equal(files.filter((file) => file.endsWith('/data')).length, base.length + IMAGES * 3)
  for (const number of [0, 50, 99]) {
    const pulled = await send(server, 'GET', `/v2/apps/app${number}/blobs/${base[0]?.digest}`)
    assert.ok(base[0] && pulled.body.equals(base[0].bytes))
  }
})
