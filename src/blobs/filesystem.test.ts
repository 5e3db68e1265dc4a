import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type FilesystemStorage, openFilesystemStorage } from '#blobs/filesystem.ts'
import { keyStoreSuite } from '#blobs/keys.suite.ts'
import { blobPath, layerLink, uploadPath } from '#blobs/layout.ts'
import { blobStorageSuite, contentOf, hasReason } from '#blobs/store.suite.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { parseRepositoryName } from '#oci/reference.ts'

const MiB = 1024 * 1024
/** A device of Linux that refuses every write as a full disk does. */
const FULL_DISK = '/dev/full'

async function open() {
  const root = await mkdtemp(join(tmpdir(), 'stowage-blobs-'))
  const storage = await openFilesystemStorage({ root, temporaryId: randomUUID })
  return { root, storage, keys: storage.keys, close: () => rm(root, { recursive: true }) }
}

blobStorageSuite('filesystem', open)
keyStoreSuite('filesystem', open)

describe('the filesystem storage', () => {
  let root: string
  let storage: FilesystemStorage
  let close: () => Promise<void>
  before(async () => {
    ;({ root, storage, close } = await open())
  })
  after(() => close())

  function filesBelow(folder: string): string[] {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name)
  }

  async function digestsListed(): Promise<Set<Digest>> {
    const digests = new Set<Digest>()
    for await (const { digest } of storage.blobs()) digests.add(digest)
    return digests
  }

  test('a commit succeeds beside one of the same digest that fails and takes its folder away', async () => {
    for (let round = 0; round < 40; round++) {
      const bytes = randomBytes(600)
      const digest = digestOf(bytes)
      const writer = await storage.append(`good-${round}`, 0)
      await writer.write(Uint8Array.from(bytes))
      await writer.close()
      const [failed, stored] = await Promise.allSettled([
        storage.commit(`absent-${round}`, digest),
        storage.commit(`good-${round}`, digest),
      ])
      assert.equal(failed.status, 'rejected')
      assert.deepEqual(stored, { status: 'fulfilled', value: undefined })
      assert.ok((await storage.read(digest, 1000))?.equals(bytes))
    }
  })

  test('opening makes the two folders and nothing else, and does so again without harm', async () => {
    const fresh = join(root, 'not/there/yet')
    await openFilesystemStorage({ root: fresh, temporaryId: randomUUID })
    await openFilesystemStorage({ root: fresh, temporaryId: randomUUID })
    assert.deepEqual(readdirSync(fresh, { recursive: true }).sort(), [
      'docker',
      'docker/registry',
      'docker/registry/v2',
      'stowage',
      'stowage/uploads',
    ])
  })

  test('a store does not open where a file is in the way', async () => {
    writeFileSync(join(root, 'file'), '')
    await assert.rejects(openFilesystemStorage({ root: join(root, 'file'), temporaryId: randomUUID }), {
      code: 'ENOTDIR',
    })
  })

  test('a blob lies where registry:2 looks for it, and no temporary file stays', async () => {
    const digest = digestOf('hello')
    await storage.put(digest, Buffer.from('hello'))
    const hex = digest.slice(7)
    const path = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`
    assert.equal(readFileSync(join(root, path), 'utf8'), 'hello')
    assert.deepEqual(filesBelow('stowage'), [])
  })

  test('a link lies where registry:2 looks for it, and no temporary file stays', async () => {
    const digest = digestOf('layer')
    await storage.keys.put(layerLink(parseRepositoryName('team/app'), digest), digest)
    const path = `docker/registry/v2/repositories/team/app/_layers/sha256/${digest.slice(7)}/link`
    assert.equal(readFileSync(join(root, path), 'utf8'), digest)
    await assert.rejects(storage.keys.put('docker/registry/v2/repositories/team', 'in the way'))
    assert.deepEqual(filesBelow('stowage'), [])
  })

  test('a link that another program made too long is read up to 4 KiB', async () => {
    writeFileSync(join(root, 'long'), 'x'.repeat(10_000))
    assert.equal(await storage.keys.get('long'), 'x'.repeat(4096))
  })

  test('deleting a blob removes its folder', async () => {
    const digest = digestOf('deleted')
    await storage.put(digest, Buffer.from('deleted'))
    await storage.delete(digest)
    assert.equal(existsSync(join(root, blobPath(digest), '..')), false)
  })

  test('deleting a blob leaves what another program put beside it', async () => {
    const digest = digestOf('not alone')
    await storage.put(digest, Buffer.from('not alone'))
    writeFileSync(join(root, blobPath(digest), '../other'), '')
    assert.equal(await storage.delete(digest), true)
    assert.deepEqual(readdirSync(join(root, blobPath(digest), '..')), ['other'])
    assert.equal(await storage.stat(digest), undefined)
  })

  test('a blob is stored also when another program removed the folders meanwhile', async () => {
    await storage.put(digestOf('before'), Buffer.from('before'))
    await rm(join(root, 'docker/registry/v2/blobs'), { recursive: true })
    await storage.put(digestOf('before'), Buffer.from('before'))
    assert.equal((await storage.read(digestOf('before'), 10))?.toString(), 'before')
  })

  test('junk beside the blobs is passed over', async () => {
    const digest = digestOf('among junk')
    await storage.put(digest, Buffer.from('among junk'))
    const sha256 = join(root, 'docker/registry/v2/blobs/sha256')
    const hex = 'ab'.repeat(32)
    const junk = [
      'data',
      `ab/${hex}`,
      `AB/${hex.toUpperCase()}/data`,
      `ab/${hex.toUpperCase()}/data`,
      `cd/${hex}/data`,
      `abc/${hex}/data`,
      `ab/${hex.slice(2)}/data`,
      `ab/${hex}00/data`,
      `ab/${'ab'.repeat(31)}cd/data/folder`,
      `ab/${'ab'.repeat(31)}ef/other`,
    ]
    for (const path of junk) {
      await mkdir(join(sha256, path, '..'), { recursive: true })
      await writeFile(join(sha256, path), 'junk')
    }
    writeFileSync(join(sha256, 'ee'), 'a file where a folder should be')
    const listed = await digestsListed()
    assert.ok(listed.has(digest))
    assert.deepEqual(
      [...listed].filter((each) => each.startsWith('sha256:ab')),
      [],
    )
  })

  test('a folder named data is no blob', async () => {
    const digest = digestOf('folder')
    await mkdir(join(root, blobPath(digest)), { recursive: true })
    assert.equal(await storage.stat(digest), undefined)
    assert.equal(await storage.open(digest), undefined)
    assert.equal(await storage.read(digest, 100), undefined)
  })

  test('junk among the uploads is passed over', async () => {
    writeFileSync(join(root, 'stowage/uploads/odd.name'), '')
    await mkdir(join(root, 'stowage/uploads/a-folder'))
    const ids: string[] = []
    for await (const { id } of storage.list()) ids.push(id)
    assert.deepEqual(ids, [])
    await rm(join(root, 'stowage/uploads/odd.name'))
  })

  test('a blob whose file became shorter is an error, not a short reply', async () => {
    const bytes = randomBytes(2 * MiB)
    const digest = digestOf(bytes)
    await storage.put(digest, bytes)
    const reader = await storage.open(digest)
    await truncate(join(root, blobPath(digest)), MiB + 5)
    await assert.rejects(contentOf(reader), /ends at 1048581/)
  })

  test('a reader may be left while the next piece is being read', async () => {
    const bytes = randomBytes(2 * MiB)
    await storage.put(digestOf(bytes), bytes)
    for (let round = 0; round < 50; round++) {
      const reader = await storage.open(digestOf(bytes))
      assert.ok(reader)
      for await (const chunk of reader.chunks()) {
        assert.ok(chunk.length > 0)
        break
      }
      await reader.close()
    }
  })

  test('a reader hands out two buffers in turn', async () => {
    const bytes = randomBytes(4 * MiB)
    await storage.put(digestOf(bytes), bytes)
    const reader = await storage.open(digestOf(bytes))
    assert.ok(reader)
    const buffers = new Set<ArrayBufferLike>()
    for await (const chunk of reader.chunks()) buffers.add(chunk.buffer)
    assert.equal(buffers.size, 2)
    await reader.close()
  })

  test('a small blob takes no more memory than it has bytes', async () => {
    const digest = digestOf('small')
    await storage.put(digest, Buffer.from('small'))
    const reader = await storage.open(digest)
    assert.ok(reader)
    for await (const chunk of reader.chunks()) assert.equal(chunk.buffer.byteLength, 5)
    await reader.close()
  })

  describe('on a full disk', {
    skip: existsSync(FULL_DISK) ? false : `${FULL_DISK} is only on Linux`,
  }, () => {
    async function uploadOnFullDisk(id: string) {
      await symlink(FULL_DISK, join(root, uploadPath(id)))
      return storage.append(id, 0)
    }

    test('a small upload fails when it is closed, each time with the same error', async () => {
      const writer = await uploadOnFullDisk('full-small')
      assert.equal(writer.write(Buffer.from('abc')), undefined)
      const failure = await writer.close().catch((error) => error)
      assert.ok(hasReason('STORAGE_FULL')(failure))
      assert.equal(failure.cause.code, 'ENOSPC')
      assert.equal(await writer.close().catch((error) => error), failure)
      await storage.discard('full-small')
    })

    test('a large upload fails while it is written, and takes no more memory', async () => {
      const writer = await uploadOnFullDisk('full-large')
      const chunk = Buffer.alloc(64 * 1024)
      let accepted = 0
      await assert.rejects(async () => {
        for (; accepted < 1000; accepted++) await writer.write(Buffer.from(chunk))
      }, hasReason('STORAGE_FULL'))
      assert.ok(accepted <= 40, `${accepted} chunks of 64 KiB were accepted`)
      await assert.rejects(async () => writer.write(Buffer.from(chunk)), hasReason('STORAGE_FULL'))
      await assert.rejects(writer.close(), hasReason('STORAGE_FULL'))
      await storage.discard('full-large')
    })

    test('a blob or link that does not fit leaves nothing behind', async () => {
      const full = await openFilesystemStorage({ root, temporaryId: () => 'full-put' })
      const digest = digestOf('does not fit')
      await symlink(FULL_DISK, join(root, uploadPath('full-put')))
      await assert.rejects(full.put(digest, Buffer.from('does not fit')), hasReason('STORAGE_FULL'))
      assert.equal(await full.stat(digest), undefined)
      assert.equal(await full.size('full-put'), undefined)
      await symlink(FULL_DISK, join(root, uploadPath('full-put')))
      await assert.rejects(full.keys.put('does/not/fit', 'text'), hasReason('STORAGE_FULL'))
      assert.equal(await full.keys.get('does/not/fit'), undefined)
      assert.deepEqual(filesBelow('stowage'), [])
    })

    test('an upload that cannot be synced is dropped, so that trying again cannot succeed', async () => {
      const digest = digestOf('cannot be synced')
      await symlink(FULL_DISK, join(root, uploadPath('unsynced')))
      await assert.rejects(storage.commit('unsynced', digest), { code: 'EINVAL' })
      await assert.rejects(storage.commit('unsynced', digest), hasReason('BLOB_UPLOAD_UNKNOWN'))
      assert.equal(await storage.stat(digest), undefined)
      assert.equal(existsSync(join(root, blobPath(digest), '..')), false)
    })
  })

  test('a large upload is synced while it arrives, and one that cannot be is dropped', async () => {
    // The null device takes every byte and refuses to be synced.
    const chunk = Buffer.alloc(MiB)
    for (const [id, mebibytes] of [
      ['sync-small', 63],
      ['sync-large', 65],
    ] as const) {
      await symlink('/dev/null', join(root, uploadPath(id)))
      const writer = await storage.append(id, 0)
      const writing = (async () => {
        try {
          for (let index = 0; index < mebibytes; index++) await writer.write(Buffer.from(chunk))
        } finally {
          await writer.close()
        }
      })()
      if (mebibytes > 64) await assert.rejects(writing, { code: 'EINVAL' })
      else await writing
      assert.equal(filesBelow('stowage').includes(id), mebibytes < 64)
      await storage.discard(id)
    }
  })

  test('a writer makes its source wait, and holds no more than its limits', async () => {
    const writer = await storage.append('pressure', 0)
    const chunk = Buffer.alloc(64 * 1024)
    let waiting: Promise<void> | undefined
    let chunks = 0
    while (!waiting && chunks < 1000) {
      waiting = writer.write(Buffer.from(chunk))
      chunks++
    }
    // 512 KiB in flight, 1 MiB pending.
    assert.equal(chunks, 24)
    await waiting
    await writer.close()
    assert.equal(await storage.size('pressure'), 24 * 64 * 1024)
    await storage.discard('pressure')
  })

  test('the memory of a chunk is freed as soon as it is written, and memory that others share is left alone', async () => {
    const writer = await storage.append('freed', 0)
    const own = new Uint8Array(64 * 1024)
    const shared = new Uint8Array(128 * 1024)
    await writer.write(own)
    await writer.write(shared.subarray(0, 64 * 1024))
    await writer.close()
    assert.equal(own.byteLength, 0)
    assert.equal(shared.byteLength, 128 * 1024)
    await storage.discard('freed')
  })

  test('a writer makes a source of tiny chunks wait too', async () => {
    const writer = await storage.append('tiny-pressure', 0)
    let waiting: Promise<void> | undefined
    let chunks = 0
    while (!waiting && chunks < 10_000) {
      waiting = writer.write(Buffer.from('x'))
      chunks++
    }
    assert.equal(chunks, 2048)
    await waiting
    await writer.close()
    assert.equal(await storage.size('tiny-pressure'), 2048)
    await storage.discard('tiny-pressure')
  })

  test('a small upload touches the disk only when it is closed', async () => {
    const writer = await storage.append('lazy', 0)
    writer.write(Buffer.from('abc'))
    assert.equal(existsSync(join(root, uploadPath('lazy'))), false)
    await writer.close()
    assert.equal(readFileSync(join(root, uploadPath('lazy')), 'utf8'), 'abc')
    await storage.discard('lazy')
  })
})
