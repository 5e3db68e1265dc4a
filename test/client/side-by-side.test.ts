// Several copies into one place at the same time.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { copy } from '#client/copy.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { newTransfers } from '#client/shared-transfers.ts'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { HostileRegistry, refuse } from './hostile-registry.ts'
import { LAYER, putBlob, putManifest } from './made-images.ts'

const TAGS = ['a', 'b', 'c'].map(parseTag)

/** Three images that share a layer, on their way to a registry side by side. */
async function threeCopies(hostile: HostileRegistry) {
  const memory = new MemoryPlace()
  const layer = await putBlob(memory, randomBytes(1000), LAYER)
  for (const tag of TAGS) {
    const config = await putBlob(memory, randomBytes(100), OCI_CONFIG)
    await putManifest(memory, { config, layers: [layer] }, OCI_MANIFEST, tag)
  }
  const client = new RegistryClient({ host: hostile.host, retry: { attemptsMax: 1 } })
  const place = new RegistryPlace({ client, repository: parseRepositoryName('app'), push: true })
  const transfers = newTransfers()
  const copies = TAGS.map((tag) => copy(memory, place, { reference: { tag }, tags: [tag], transfers }))
  return { layer, settled: await Promise.allSettled(copies), close: () => client.close() }
}

test('a blob that several of the images need is looked for and sent once', async () => {
  const hostile = await HostileRegistry.start()
  const { layer, settled, close } = await threeCopies(hostile)
  try {
    const counts = settled.map(
      (one) => one.status === 'fulfilled' && [one.value.copied.blobs, one.value.skipped.blobs],
    )
    assert.deepEqual(counts.map(String).sort(), ['1,1', '1,1', '2,0'])
    assert.equal(hostile.asks('HEAD', new RegExp(layer.digest)).length, 1)
    assert.equal(hostile.asks('PUT', /uploads/).length, 4)
  } finally {
    await close()
    await hostile.stop()
  }
})

test('a blob that cannot be sent fails every image that needs it, and none of them is tagged', async () => {
  const hostile = await HostileRegistry.start()
  hostile.mischief = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return false
    request.resume()
    refuse(response, 403, 'DENIED', 'the quota is used up')
    return true
  }
  const { settled, close } = await threeCopies(hostile)
  try {
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    )
    assert.equal(hostile.asks('PUT', /manifests/).length, 0)
  } finally {
    await close()
    await hostile.stop()
  }
})
