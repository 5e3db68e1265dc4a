import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { type FilesystemStorage, openFilesystemStorage } from '#blobs/filesystem.ts'
import { asidePath, blobPath } from '#blobs/layout.ts'
import { openS3Storage } from '#blobs/s3/open-s3.ts'
import { blobStorageSuite, contentOf } from '#blobs/store.suite.ts'
import type { BlobStorage, Listing } from '#blobs/store.ts'
import { openTieredStorage, type TieredStorage } from '#blobs/tiers/tiered-storage.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { gatewayIsMissing, S3Gateway } from '../../../test/processes/s3-gateway.ts'

interface Tiers {
  readonly storage: TieredStorage
  readonly hot: FilesystemStorage
  readonly cold: BlobStorage & Listing
  readonly folder: string
  readonly errors: unknown[]
  close(): Promise<void>
}

const openFolder = (root: string) => openFilesystemStorage({ root, temporaryId: randomUUID })

/** Two folders, or a folder before what is given. */
async function open(promote: boolean, before?: BlobStorage & Listing): Promise<Tiers> {
  const folder = await mkdtemp(join(tmpdir(), 'stowage-tiers-'))
  const hot = await openFolder(join(folder, 'hot'))
  const cold = before ?? (await openFolder(join(folder, 'cold')))
  const errors: unknown[] = []
  const onError = (_: Digest, error: unknown) => void errors.push(error)
  const storage = await openTieredStorage({ hot, cold, promote, temporaryId: randomUUID, onError })
  const close = async () => {
    await storage.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { storage, hot, cold, folder, errors, close }
}

async function stored(storage: BlobStorage, size = 2_000_000): Promise<{ digest: Digest; bytes: Buffer }> {
  const bytes = randomBytes(size)
  await storage.put(digestOf(bytes), bytes)
  return { digest: digestOf(bytes), bytes }
}

blobStorageSuite('two folders', () => open(false))

describe('a folder before a bucket', { skip: gatewayIsMissing() ?? false }, () => {
  let gateway: S3Gateway
  before(async () => {
    gateway = await S3Gateway.start()
  })
  after(() => gateway.stop())

  async function openBucket(promote: boolean) {
    const s3 = await openS3Storage(gateway.options())
    const tiers = await open(promote, s3.storage)
    return { ...tiers, close: () => tiers.close().finally(() => s3.close()) }
  }

  blobStorageSuite('a folder before a bucket', () => openBucket(false))

  test('a large blob goes down, is read from there, and comes up', async () => {
    const { storage, hot, cold, close } = await openBucket(true)
    const { digest, bytes } = await stored(storage, 12_000_000)
    assert.equal(await storage.demote(digest), true)
    assert.deepEqual([await hot.stat(digest), (await cold.stat(digest))?.size], [undefined, bytes.length])
    assert.deepEqual(await contentOf(await storage.open(digest)), bytes)
    await until(async () => (await hot.stat(digest)) !== undefined)
    assert.deepEqual(await contentOf(await hot.open(digest)), bytes)
    await close()
  })
})

async function until(met: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 500; turn++) {
    if (await met()) return
    await wait(10)
  }
  throw new Error('it did not come to pass')
}

describe('tiers', () => {
  test('what is pushed lies hot; what went down is served, listed once and deleted like any other', async () => {
    const { storage, hot, cold, close } = await open(false)
    const [down, up] = [await stored(storage), await stored(storage)]
    assert.equal(await cold.stat(down.digest), undefined)
    assert.equal(await storage.demote(down.digest), true)
    assert.equal(await hot.stat(down.digest), undefined)
    assert.equal((await storage.stat(down.digest))?.size, down.bytes.length)
    assert.deepEqual(await storage.read(down.digest, 2_000_000), down.bytes)
    const listed: Digest[] = []
    for await (const { digest } of storage.blobs()) listed.push(digest)
    assert.deepEqual(listed.sort(), [down.digest, up.digest].sort())
    assert.equal(await storage.delete(down.digest), true)
    assert.equal(await storage.stat(down.digest), undefined)
    await close()
  })

  test('a pull brings a blob up behind it, and its cold copy stays', async () => {
    const { storage, hot, cold, close, errors } = await open(true)
    const { digest, bytes } = await stored(storage)
    await storage.demote(digest)
    assert.deepEqual(await contentOf(await storage.open(digest)), bytes)
    await until(async () => (await hot.stat(digest)) !== undefined)
    assert.ok(await cold.stat(digest))
    assert.deepEqual(errors, [])
    // Down again: nothing is copied.
    assert.equal(await storage.demote(digest), true)
    assert.equal(await hot.stat(digest), undefined)
    await close()
  })

  test('a blob is down or up, and never nowhere, while both are done to it again and again', async () => {
    const { storage, close } = await open(false)
    const { digest, bytes } = await stored(storage, 200_000)
    let moving = true
    const mover = (async () => {
      for (let turn = 0; turn < 40; turn++)
        await (turn % 2 ? storage.promote(digest) : storage.demote(digest))
      moving = false
    })()
    while (moving) assert.deepEqual(await contentOf(await storage.open(digest)), bytes)
    await mover
    await close()
  })

  test('bytes that are damaged do not go down, and are left where they are', async () => {
    const { storage, hot, cold, folder, close } = await open(false)
    const { digest } = await stored(storage)
    await writeFile(join(folder, 'hot', blobPath(digest)), 'damaged')
    await assert.rejects(storage.demote(digest), /has bytes of/)
    assert.deepEqual([(await hot.stat(digest))?.size, await cold.stat(digest)], [7, undefined])
    for await (const { id } of storage.list()) assert.fail(`${id} is left`)
    await close()
  })

  test('a blob that was deleted and pushed again while it went down is put back', async () => {
    const { storage, hot, cold, close } = await open(false)
    const { digest, bytes } = await stored(storage)
    await storage.promote(digest)
    // The cold copy is made, and goes with a deletion, before the hot one of a new push is taken out.
    await cold.put(digest, bytes)
    const take = hot.aside.take.bind(hot.aside)
    hot.aside.take = async (of) => {
      await cold.delete(of)
      await take(of)
    }
    assert.equal(await storage.demote(digest), false)
    assert.deepEqual(await contentOf(await storage.open(digest)), bytes)
    await close()
  })

  describe('a death on the way down', () => {
    for (const [when, hasCold] of [
      ['after the cold copy was made', true],
      ['when the cold copy has gone', false],
    ] as const)
      test(`${when}: the next open ${hasCold ? 'drops' : 'puts back'} what was set aside`, async () => {
        const { storage, hot, cold, folder, close } = await open(false)
        const { digest, bytes } = await stored(storage)
        if (hasCold) await cold.put(digest, bytes)
        await hot.aside.take(digest)
        const onError = () => {}
        const again = await openTieredStorage({ hot, cold, promote: false, temporaryId: randomUUID, onError })
        assert.equal(existsSync(join(folder, 'hot', asidePath(digest))), false)
        assert.equal((await hot.stat(digest)) === undefined, hasCold)
        assert.deepEqual(await contentOf(await again.open(digest)), bytes)
        await close()
      })

    test('in the midst of the copy: the blob stays hot, and what was written is an upload for the sweeper', async () => {
      const { storage, hot, cold, folder, close } = await open(false)
      const { digest } = await stored(storage)
      const writer = await cold.append('half-way', 0, digest)
      await writer.write(Buffer.from('half'))
      await writer.close()
      assert.ok(await hot.stat(digest))
      const ids: string[] = []
      for await (const { id } of storage.list()) ids.push(id)
      assert.deepEqual(ids, ['half-way'])
      await storage.discard('half-way')
      assert.deepEqual(await readdir(join(folder, 'cold/stowage/uploads')), [])
      await close()
    })
  })
})
