// Uploads that are larger than a part, that several processes continue, and that break.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { blobPath, uploadPath } from '#blobs/layout.ts'
import { Bucket } from '#blobs/s3/bucket.ts'
import { openS3Storage } from '#blobs/s3/open-s3.ts'
import { s3Client } from '#blobs/s3/s3-client.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import type { S3Storage } from '#blobs/s3/s3-storage.ts'
import { contentOf, hasReason } from '#blobs/store.suite.ts'
import { digestOf } from '#oci/digest.ts'
import { gatewayIsMissing, S3Gateway } from '../../../test/processes/s3-gateway.ts'

const MiB = 1024 * 1024

describe('uploads on S3', { skip: gatewayIsMissing() ?? false }, () => {
  let gateway: S3Gateway
  let options: S3Options
  let bucket: Bucket
  /** Two processes on one bucket. */
  let one: S3Storage
  let other: S3Storage
  const closers: (() => void)[] = []
  before(async () => {
    gateway = await S3Gateway.start()
    options = gateway.options()
    bucket = new Bucket(s3Client(options), options)
    one = await opened(options)
    other = await opened(options)
  })
  after(async () => {
    for (const close of closers) close()
    bucket.client.destroy()
    await gateway.stop()
  })

  async function opened(with_: S3Options): Promise<S3Storage> {
    const { storage, close } = await openS3Storage(with_)
    closers.push(close)
    return storage
  }

  async function append(store: S3Storage, id: string, offset: number, bytes: Buffer, piece = 65_536) {
    const writer = await store.append(id, offset)
    for (let at = 0; at < bytes.length; at += piece)
      await writer.write(Buffer.from(bytes.subarray(at, at + piece)))
    await writer.close()
  }

  async function objects(id: string): Promise<{ path: string; size: number }[]> {
    const found: { path: string; size: number }[] = []
    for await (const { path, size } of bucket.list(`${uploadPath(id)}/`)) found.push({ path, size })
    return found
  }

  async function multiparts(): Promise<number> {
    const reply = await bucket.client.send(new ListMultipartUploadsCommand({ Bucket: bucket.name }))
    return reply.Uploads?.length ?? 0
  }

  test('a large upload becomes pieces, and the server puts them together', async () => {
    const bytes = randomBytes(12 * MiB + 345)
    await append(one, 'large', 0, bytes)
    assert.deepEqual(
      (await objects('large')).map(({ size }) => size),
      [5 * MiB, 5 * MiB, 2 * MiB + 345],
    )
    await one.commit('large', digestOf(bytes))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
    assert.deepEqual(await objects('large'), [])
    assert.equal(await multiparts(), 0)
  })

  test('a chunk larger than several parts is taken', async () => {
    const bytes = randomBytes(16 * MiB + 1)
    await append(one, 'one-chunk', 0, bytes, bytes.length)
    await one.commit('one-chunk', digestOf(bytes))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
  })

  test('a large upload whose digest is named before goes to its place, without being copied', async () => {
    const bytes = randomBytes(11 * MiB)
    const writer = await one.append('direct', 0, digestOf(bytes))
    for (let at = 0; at < bytes.length; at += MiB)
      await writer.write(Buffer.from(bytes.subarray(at, at + MiB)))
    await writer.close()
    assert.equal(await one.stat(digestOf(bytes)), undefined, 'nobody sees a part')
    await one.commit('direct', digestOf(bytes))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
    assert.equal(await multiparts(), 0)
  })

  test('a small upload whose digest is named before is one object, at its place', async () => {
    const bytes = randomBytes(1000)
    const writer = await one.append('small', 0, digestOf(bytes))
    await writer.write(Buffer.from(bytes))
    await writer.close()
    assert.deepEqual(await objects('small'), [])
    await one.commit('small', digestOf(bytes))
    assert.deepEqual(await one.read(digestOf(bytes), 1000), bytes)
  })

  for (const size of [1000, 11 * MiB]) {
    test(`a direct upload of ${size} bytes that is not committed leaves nothing`, async () => {
      const bytes = randomBytes(size)
      const writer = await one.append('given-up', 0, digestOf(bytes))
      await writer.write(Buffer.from(bytes))
      await writer.close()
      assert.equal(await one.size('given-up'), undefined)
      await one.discard('given-up')
      assert.equal(await multiparts(), 0)
      await assert.rejects(one.commit('given-up', digestOf(bytes)), hasReason('BLOB_UPLOAD_UNKNOWN'))
    })
  }

  test('bytes that are not what was named are refused by the server', async () => {
    const writer = await one.append('wrong', 0, digestOf('right'))
    await writer.write(Buffer.from('wrong'))
    await writer.close()
    await assert.rejects(one.commit('wrong', digestOf('right')), hasReason('UNAVAILABLE'))
    assert.equal(await one.stat(digestOf('right')), undefined)
  })

  test('another process continues, and a third commits', async () => {
    const bytes = randomBytes(14 * MiB)
    await append(one, 'shared', 0, bytes.subarray(0, 7 * MiB))
    assert.equal(await other.size('shared'), 7 * MiB)
    await append(other, 'shared', 7 * MiB, bytes.subarray(7 * MiB))
    const third = await opened(options)
    assert.deepEqual(await contentOf(await third.openUpload('shared')), bytes)
    await third.commit('shared', digestOf(bytes))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
    assert.equal(await other.size('shared'), undefined)
  })

  test('a few bytes at a time, each time by another process, are one small piece', async () => {
    const bytes = randomBytes(100)
    for (let at = 0; at < 100; at += 10)
      await append(at % 20 === 0 ? one : other, 'drops', at, bytes.subarray(at, at + 10))
    assert.deepEqual(
      (await objects('drops')).map(({ size }) => size),
      [100],
    )
    await one.openUpload('drops').then((reader) => reader?.close())
    await one.commit('drops', digestOf(bytes))
    assert.deepEqual(await other.read(digestOf(bytes), 100), bytes)
  })

  test('small pieces at the end of large ones stay one, and the blob is whole', async () => {
    const bytes = randomBytes(6 * MiB)
    let at = 0
    for (const length of [5 * MiB + 10, 100, 200 * 1024, 500 * 1024]) {
      await append(one, 'tails', at, bytes.subarray(at, at + length))
      at += length
    }
    assert.equal((await objects('tails')).length, 2)
    await one.commit('tails', digestOf(bytes.subarray(0, at)))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes.subarray(0, at)))), bytes.subarray(0, at))
  })

  for (const back of [0, 3, 5 * MiB, 7 * MiB, 10 * MiB]) {
    test(`an upload that is taken back to ${back} goes on from there, and what stood behind is gone`, async () => {
      const id = `back-${back}`
      const [first, second] = [randomBytes(12 * MiB), randomBytes(6 * MiB)]
      await append(one, id, 0, first)
      await append(other, id, back, second)
      const wanted = Buffer.concat([first.subarray(0, back), second])
      assert.equal(await one.size(id), wanted.length)
      assert.deepEqual(await contentOf(await one.openUpload(id)), wanted)
      await one.commit(id, digestOf(wanted))
      assert.deepEqual(await contentOf(await one.open(digestOf(wanted))), wanted)
    })
  }

  test('a process that hashed other bytes than lie there now does not commit them', async () => {
    const [mine, theirs] = [randomBytes(8 * MiB), randomBytes(8 * MiB)]
    await append(one, 'raced', 0, mine)
    await append(other, 'raced', 0, theirs)
    await assert.rejects(one.commit('raced', digestOf(mine)), hasReason('UPLOAD_BUSY'))
    assert.equal(await one.stat(digestOf(mine)), undefined)
    await other.commit('raced', digestOf(theirs))
    assert.deepEqual(await contentOf(await one.open(digestOf(theirs))), theirs)
  })

  test('a process that has not seen the bytes reads them before it commits', async () => {
    const bytes = randomBytes(6 * MiB)
    await append(one, 'unseen', 0, bytes)
    await assert.rejects(other.commit('unseen', digestOf('else')), hasReason('UPLOAD_BUSY'))
    await other.commit('unseen', digestOf(bytes))
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
  })

  test('what two processes commit at once is one blob', async () => {
    const bytes = randomBytes(7 * MiB)
    await Promise.all([append(one, 'twin-1', 0, bytes), append(other, 'twin-2', 0, bytes)])
    await Promise.all([one.commit('twin-1', digestOf(bytes)), other.commit('twin-2', digestOf(bytes))])
    assert.deepEqual(await contentOf(await one.open(digestOf(bytes))), bytes)
  })

  test('multipart uploads that a death left are swept when they are old, and young ones are not', async () => {
    const lost = { Bucket: bucket.name, Key: blobPath(digestOf('never finished')) }
    await bucket.client.send(new CreateMultipartUploadCommand(lost))
    assert.equal(await one.sweep(Date.now() - 60_000), 0)
    assert.equal(await one.sweep(Date.now() + 60_000), 1)
    assert.equal(await multiparts(), 0)
  })

  test('an address leads to the bytes without keys, until it ends', async () => {
    await one.put(digestOf('public'), Buffer.from('public'))
    const url = await one.urlFor(digestOf('public'), 60)
    assert.equal(await (await fetch(url)).text(), 'public')
    const other = new URL(url)
    other.pathname = `/${bucket.keyOf(blobPath(digestOf('other')))}`
    assert.equal((await fetch(other)).status >= 400, true)
  })
})
