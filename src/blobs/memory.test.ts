import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyStoreSuite } from '#blobs/keys.suite.ts'
import { MemoryStorage } from '#blobs/memory.ts'
import { blobStorageSuite, hasReason } from '#blobs/store.suite.ts'
import { digestOf } from '#oci/digest.ts'

const MiB = 1024 * 1024

function open(bytesMax = 64 * MiB) {
  const storage = new MemoryStorage({ bytesMax, now: Date.now })
  return { storage, keys: storage.keys, close: async () => {} }
}

blobStorageSuite('memory', async () => open())
keyStoreSuite('memory', async () => open())

test('a full memory refuses a blob, and takes it when another was deleted', async () => {
  const { storage } = open(1000)
  const first = Buffer.alloc(600, 'a')
  const second = Buffer.alloc(600, 'b')
  await storage.put(digestOf(first), first)
  await assert.rejects(storage.put(digestOf(second), second), hasReason('STORAGE_FULL'))
  assert.equal(await storage.stat(digestOf(second)), undefined)
  await storage.delete(digestOf(first))
  await storage.put(digestOf(second), second)
})

test('a full memory refuses a chunk, and the writer says so again when it is closed', async () => {
  const { storage } = open(1000)
  const writer = await storage.append('u', 0)
  await writer.write(Buffer.alloc(900))
  await assert.rejects(async () => writer.write(Buffer.alloc(101)), hasReason('STORAGE_FULL'))
  await assert.rejects(async () => writer.write(Buffer.alloc(1)), hasReason('STORAGE_FULL'))
  await assert.rejects(writer.close(), hasReason('STORAGE_FULL'))
  assert.equal(await storage.size('u'), 900)
})

test('discarding, rewinding and replacing give memory back', async () => {
  const { storage } = open(1000)
  const bytes = Buffer.alloc(900, 'x')
  for (let round = 0; round < 3; round++) {
    const writer = await storage.append('u', 0)
    await writer.write(Buffer.from(bytes))
    await writer.close()
  }
  await storage.discard('u')
  await storage.put(digestOf(bytes), bytes)
  const digest = digestOf(bytes)
  await storage.delete(digest)
  for (let round = 0; round < 3; round++) {
    await storage.keys.put('link', 'x'.repeat(450))
    await storage.keys.put('folder/link', 'x'.repeat(450))
    await storage.keys.remove('folder')
  }
  await assert.rejects(storage.keys.put('other', 'x'.repeat(700)), hasReason('STORAGE_FULL'))
})

test('a writer whose upload was committed cannot change the blob', async () => {
  const { storage } = open(1000)
  const writer = await storage.append('u', 0)
  await writer.write(Buffer.from('abc'))
  await storage.commit('u', digestOf('abc'))
  await assert.rejects(async () => writer.write(Buffer.from('d')), /ended/)
  assert.equal((await storage.read(digestOf('abc'), 10))?.toString(), 'abc')
})
