// What every store of blobs and uploads does, whatever it keeps them in.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { blobPath } from '#blobs/layout.ts'
import type { BlobReader, BlobStorage, Listing } from '#blobs/store.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

const MiB = 1024 * 1024

export interface StoreUnderTest {
  readonly storage: BlobStorage & Listing
  readonly close: () => Promise<void>
  /** Puts bytes in the place of a blob whose digest they do not have, where the store itself would refuse them. */
  readonly plant?: (digest: Digest, bytes: Buffer) => Promise<void>
}

export function blobStorageSuite(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a blob storage`, () => {
    let opened: StoreUnderTest
    let storage: BlobStorage & Listing
    before(async () => {
      opened = await open()
      storage = opened.storage
    })
    after(() => opened.close())

    async function upload(id: string, offset: number, ...chunks: readonly Uint8Array[]): Promise<void> {
      const writer = await storage.append(id, offset)
      for (const chunk of chunks) await writer.write(Buffer.from(chunk))
      await writer.close()
    }

    test('a blob is read back as it was put', async () => {
      const bytes = randomBytes(5000)
      const digest = digestOf(bytes)
      const earliest = Date.now() - 1000
      await storage.put(digest, bytes)
      const stat = await storage.stat(digest)
      assert.equal(stat?.size, 5000)
      assert.ok(stat && stat.modifiedAt > earliest && stat.modifiedAt < Date.now() + 1000)
      assert.deepEqual(await storage.read(digest, 5000), bytes)
      assert.deepEqual(await contentOf(await storage.open(digest)), bytes)
    })

    test('a blob that is put keeps its bytes when the caller uses their memory again', async () => {
      const bytes = randomBytes(300)
      const digest = digestOf(bytes)
      await storage.put(digest, bytes)
      bytes.fill(0)
      assert.equal(digestOf(await storedBytes(storage, digest)), digest)
    })

    test('the empty blob is a blob', async () => {
      const digest = digestOf('')
      await storage.put(digest, Buffer.alloc(0))
      assert.equal((await storage.stat(digest))?.size, 0)
      assert.deepEqual(await storage.read(digest, 0), Buffer.alloc(0))
      assert.deepEqual(await contentOf(await storage.open(digest)), Buffer.alloc(0))
    })

    test('what is absent is undefined, and false to delete', async () => {
      const digest = digestOf('never stored')
      assert.equal(await storage.stat(digest), undefined)
      assert.equal(await storage.open(digest), undefined)
      assert.equal(await storage.read(digest, 100), undefined)
      assert.equal(await storage.delete(digest), false)
      assert.equal(await storage.size('never-begun'), undefined)
      assert.equal(await storage.openUpload('never-begun'), undefined)
      await storage.discard('never-begun')
    })

    test('a blob larger than the caller bears is not read', async () => {
      const bytes = randomBytes(1001)
      await storage.put(digestOf(bytes), bytes)
      assert.equal(await storage.read(digestOf(bytes), 1000), undefined)
    })

    test('a deleted blob is gone, and can be put again', async () => {
      const bytes = randomBytes(100)
      const digest = digestOf(bytes)
      await storage.put(digest, bytes)
      assert.equal(await storage.delete(digest), true)
      assert.equal(await storage.stat(digest), undefined)
      assert.equal(await storage.delete(digest), false)
      await storage.put(digest, bytes)
      assert.deepEqual(await storage.read(digest, 100), bytes)
    })

    test('an open blob stays readable when it is deleted', async () => {
      const bytes = randomBytes(2 * MiB)
      const digest = digestOf(bytes)
      await storage.put(digest, bytes)
      const reader = await storage.open(digest)
      await storage.delete(digest)
      assert.deepEqual(await contentOf(reader), bytes)
    })

    test('a digest in another algorithm is refused', async () => {
      const digest = digestOf('text', 'sha512')
      await upload('sha512-upload', 0, Buffer.from('text'))
      await assert.rejects(storage.stat(digest), /sha256 only/)
      await assert.rejects(storage.open(digest), /sha256 only/)
      await assert.rejects(storage.read(digest, 10), /sha256 only/)
      await assert.rejects(storage.put(digest, Buffer.from('text')), /sha256 only/)
      await assert.rejects(storage.delete(digest), /sha256 only/)
      await assert.rejects(storage.commit('sha512-upload', digest), /sha256 only/)
      await storage.discard('sha512-upload')
    })

    describe('ranges', () => {
      const bytes = randomBytes(3 * MiB + 17)
      const digest = digestOf(bytes)
      before(() =>
        upload('ranges', 0, ...pieces(bytes, 100_003)).then(() => storage.commit('ranges', digest)),
      )

      const ranges: readonly (readonly [number, number])[] = [
        [0, bytes.length],
        [0, 1],
        [bytes.length - 1, bytes.length],
        [0, 0],
        [bytes.length, bytes.length],
        [100_003, 200_006],
        [512 * 1024 - 1, 512 * 1024 + 1],
        [512 * 1024, 2 * MiB],
        [1, bytes.length - 1],
      ]
      for (const [start, end] of ranges) {
        test(`bytes ${start} to ${end} are those bytes`, async () => {
          assert.deepEqual(
            await contentOf(await storage.open(digest), start, end),
            bytes.subarray(start, end),
          )
        })
      }

      test('a reader gives its bytes more than once', async () => {
        const reader = await storage.open(digest)
        assert.ok(reader)
        assert.deepEqual(await collect(reader.chunks(0, MiB)), bytes.subarray(0, MiB))
        assert.deepEqual(await collect(reader.chunks(MiB)), bytes.subarray(MiB))
        await reader.close()
      })

      for (const [start, end] of [
        [-1, 5],
        [6, 5],
        [0, bytes.length + 1],
        [Number.NaN, 5],
      ] as const) {
        test(`bytes ${start} to ${end} are refused`, async () => {
          await assert.rejects(contentOf(await storage.open(digest), start, end), RangeError)
        })
      }

      test('a reader that is closed early gives no more, and closes twice without harm', async () => {
        const reader = await storage.open(digest)
        assert.ok(reader)
        const chunks = reader.chunks()[Symbol.asyncIterator]()
        await chunks.next()
        await reader.close()
        await reader.close()
        await assert.rejects(async () => {
          while (!(await chunks.next()).done);
        }, /closed/)
      })
    })

    describe('uploads', () => {
      test('what was written is there when the writer is closed', async () => {
        const bytes = randomBytes(3 * MiB + 5)
        const writer = await storage.append('grows', 0)
        for (const chunk of pieces(bytes, 65_536)) await writer.write(Buffer.from(chunk))
        assert.equal(writer.offset, bytes.length)
        await writer.close()
        assert.equal(await storage.size('grows'), bytes.length)
        assert.deepEqual(await contentOf(await storage.openUpload('grows')), bytes)
      })

      test('an upload without bytes exists once it is closed', async () => {
        await upload('empty', 0)
        assert.equal(await storage.size('empty'), 0)
        await storage.commit('empty', digestOf(''))
        assert.equal((await storage.stat(digestOf('')))?.size, 0)
      })

      test('an empty chunk changes nothing', async () => {
        await upload('gaps', 0, Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(0), Buffer.from('b'))
        assert.equal((await contentOf(await storage.openUpload('gaps'))).toString(), 'ab')
      })

      test('many tiny chunks arrive in order', async () => {
        const bytes = randomBytes(5000)
        await upload('tiny', 0, ...pieces(bytes, 1))
        assert.deepEqual(await contentOf(await storage.openUpload('tiny')), bytes)
      })

      test('a second writer goes on where the first ended', async () => {
        await upload('resumed', 0, Buffer.from('first '))
        const writer = await storage.append('resumed', 6)
        assert.equal(writer.offset, 6)
        await writer.write(Buffer.from('second'))
        assert.equal(writer.offset, 12)
        await writer.close()
        assert.equal((await contentOf(await storage.openUpload('resumed'))).toString(), 'first second')
      })

      test('a writer that opens further back drops what stands behind it', async () => {
        await upload('rewound', 0, Buffer.from('abc'), Buffer.from('def'))
        await upload('rewound', 4, Buffer.from('X'))
        assert.equal((await contentOf(await storage.openUpload('rewound'))).toString(), 'abcdX')
        await upload('rewound', 2)
        assert.equal((await contentOf(await storage.openUpload('rewound'))).toString(), 'ab')
        await upload('rewound', 0)
        assert.equal(await storage.size('rewound'), 0)
      })

      test('a writer cannot open beyond the bytes that are there', async () => {
        await upload('short', 0, Buffer.from('abc'))
        await assert.rejects(storage.append('short', 4), hasReason('UPLOAD_OUT_OF_ORDER'))
        await assert.rejects(storage.append('unknown', 1), hasReason('UPLOAD_OUT_OF_ORDER'))
        assert.equal(await storage.size('short'), 3)
        assert.equal(await storage.size('unknown'), undefined)
      })

      test('a closed writer takes nothing, and closes twice without harm', async () => {
        const writer = await storage.append('closed', 0)
        await writer.write(Buffer.from('abc'))
        await writer.close()
        await writer.close()
        await assert.rejects(async () => writer.write(Buffer.from('d')), /closed/)
        assert.equal(await storage.size('closed'), 3)
      })

      test('a committed upload is the blob, and no upload any more', async () => {
        const bytes = randomBytes(200_000)
        const digest = digestOf(bytes)
        await upload('done', 0, ...pieces(bytes, 70_000))
        await storage.commit('done', digest)
        assert.deepEqual(await storedBytes(storage, digest), bytes)
        assert.equal(await storage.size('done'), undefined)
        assert.equal((await uploadsOf(storage)).has('done'), false)
      })

      test('a commit replaces the bytes that are there, and leaves an open reader those it had', async () => {
        const digest = digestOf('claimed by both')
        const plant = opened.plant ?? ((of, bytes) => storage.put(of, bytes))
        await plant(digest, Buffer.from('damaged'))
        const reader = await storage.open(digest)
        await upload('repair', 0, Buffer.from('claimed by both'))
        await storage.commit('repair', digest)
        assert.equal((await storedBytes(storage, digest)).toString(), 'claimed by both')
        assert.equal((await contentOf(reader)).toString(), 'damaged')
      })

      test('committing an upload that is not there is refused and makes no blob', async () => {
        const digest = digestOf('no such upload')
        await assert.rejects(storage.commit('no-such-upload', digest), hasReason('BLOB_UPLOAD_UNKNOWN'))
        assert.equal(await storage.stat(digest), undefined)
      })

      test('a discarded upload is gone', async () => {
        await upload('cancelled', 0, Buffer.from('abc'))
        await storage.discard('cancelled')
        assert.equal(await storage.size('cancelled'), undefined)
      })

      test('uploads are listed with their age', async () => {
        const earliest = Date.now() - 1000
        for (let index = 0; index < 70; index++) await upload(`listed-${index}`, 0, Buffer.from('x'))
        const uploads = await uploadsOf(storage)
        for (let index = 0; index < 70; index++) {
          const modifiedAt = uploads.get(`listed-${index}`) ?? 0
          assert.ok(modifiedAt > earliest && modifiedAt < Date.now() + 1000)
        }
      })

      for (const id of ['', '.', '..', 'a/b', '../data', 'a.b', 'a\0', 'x'.repeat(65)]) {
        test(`an upload cannot be called ${JSON.stringify(id)}`, async () => {
          await assert.rejects(storage.append(id, 0), /not an upload id/)
          await assert.rejects(storage.append(id, 1), /not an upload id/)
          await assert.rejects(storage.size(id), /not an upload id/)
          await assert.rejects(storage.openUpload(id), /not an upload id/)
          await assert.rejects(storage.commit(id, digestOf('x')), /not an upload id/)
          await assert.rejects(storage.discard(id), /not an upload id/)
        })
      }
    })

    test('blobs that are stored at the same time do not disturb each other', async () => {
      const contents = Array.from({ length: 40 }, (_, index) => randomBytes(1 + index * 7000))
      await Promise.all(
        contents.map(async (bytes, index) => {
          if (index % 2 === 0) return storage.put(digestOf(bytes), bytes)
          await upload(`parallel-${index}`, 0, ...pieces(bytes, 30_000))
          return storage.commit(`parallel-${index}`, digestOf(bytes))
        }),
      )
      for (const bytes of contents) assert.deepEqual(await storedBytes(storage, digestOf(bytes)), bytes)
    })

    test('every blob is listed once, with size and age', async () => {
      const wanted = new Map<Digest, number>()
      for (let size = 0; size < 50; size++) {
        const bytes = randomBytes(size)
        wanted.set(digestOf(bytes), size)
        await storage.put(digestOf(bytes), bytes)
      }
      const seen = new Set<Digest>()
      for await (const { digest, size, modifiedAt } of storage.blobs()) {
        assert.equal(seen.has(digest), false)
        seen.add(digest)
        assert.ok(blobPath(digest))
        assert.equal(size, wanted.get(digest) ?? size)
        assert.equal(modifiedAt, (await storage.stat(digest))?.modifiedAt)
      }
      for (const digest of wanted.keys()) assert.ok(seen.has(digest))
    })
  })
}

export function hasReason(reason: string): (error: unknown) => boolean {
  return (error) => error instanceof OciError && error.reason === reason
}

/** Everything that an open blob gives, copied since chunks are lent; closes it. */
export async function contentOf(
  reader: BlobReader | undefined,
  start?: number,
  end?: number,
): Promise<Buffer> {
  assert.ok(reader)
  try {
    return await collect(reader.chunks(start, end))
  } finally {
    await reader.close()
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}

async function storedBytes(storage: BlobStorage, digest: Digest): Promise<Buffer> {
  return contentOf(await storage.open(digest))
}

function pieces(bytes: Uint8Array, length: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / length)
  return Array.from({ length: count }, (_, index) => bytes.slice(index * length, (index + 1) * length))
}

async function uploadsOf(storage: BlobStorage): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for await (const { id, modifiedAt } of storage.list()) found.set(id, modifiedAt)
  return found
}
