import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { inPieces } from '#layers/crafted-tar.suite.ts'
import { decompress, detectCompression } from '#layers/decompress.ts'
import { LayerError } from '#layers/layer-error.ts'
import { ZstdFrames } from '#layers/zstd-frames.ts'

const parts = [randomBytes(700), Buffer.alloc(20_000, 7), Buffer.alloc(0), randomBytes(3), Buffer.from('end')]
const whole = Buffer.concat(parts)
const gzip = Buffer.concat(parts.map((part) => gzipSync(part)))
const zstd = Buffer.concat(parts.map((part) => zstdCompressSync(part)))

function skippable(content: Uint8Array, kind = 0): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50 + kind)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}

async function unfold(bytes: Uint8Array, pieceBytes: number): Promise<Buffer> {
  const out: Buffer[] = []
  for await (const chunk of decompress(inPieces(bytes, pieceBytes))) out.push(Buffer.from(chunk))
  return Buffer.concat(out)
}

const streams: readonly { name: string; bytes: Buffer }[] = [
  { name: 'plain', bytes: whole },
  { name: 'gzip of several members', bytes: gzip },
  { name: 'gzip with zeros behind it', bytes: Buffer.concat([gzip, Buffer.alloc(600)]) },
  { name: 'zstd of several frames', bytes: zstd },
  {
    name: 'zstd with skippable frames before, between and behind, as zstd:chunked has them',
    bytes: Buffer.concat([
      skippable(randomBytes(40)),
      ...parts.map((part) => Buffer.concat([zstdCompressSync(part), skippable(randomBytes(9), 15)])),
      skippable(Buffer.alloc(0), 3),
    ]),
  },
]

for (const { name, bytes } of streams)
  test(`${name} unfolds whole, in pieces of any size`, async () => {
    for (const pieceBytes of [1, 511, 65_536, bytes.length])
      assert.ok((await unfold(bytes, pieceBytes)).equals(whole), `pieces of ${pieceBytes}`)
  })

test('megabytes in large pieces come out as they went in', async () => {
  const large = [randomBytes(2_000_000), Buffer.alloc(5_000_000, 1), randomBytes(70_000)]
  for (const compress of [gzipSync, zstdCompressSync] as const) {
    const bytes = Buffer.concat(large.map((part) => compress(part)))
    assert.ok((await unfold(bytes, 300_000)).equals(Buffer.concat(large)))
  }
})

test('a stream shorter than a magic number, or empty, is plain', async () => {
  assert.equal((await unfold(Buffer.from('abc'), 1)).toString(), 'abc')
  assert.equal((await unfold(Buffer.alloc(0), 1)).length, 0)
  assert.equal(detectCompression(Buffer.from([0x1f])), 'none')
})

const damaged: readonly { name: string; bytes: Buffer }[] = [
  { name: 'gzip cut in its last member', bytes: gzip.subarray(0, gzip.length - 5) },
  { name: 'gzip cut in the middle', bytes: gzip.subarray(0, 500) },
  { name: 'gzip followed by something else', bytes: Buffer.concat([gzip, Buffer.from('garbage')]) },
  { name: 'gzip with a wrong checksum', bytes: Buffer.concat([gzip.subarray(0, -8), Buffer.alloc(8, 1)]) },
  { name: 'zstd cut in its last frame', bytes: zstd.subarray(0, zstd.length - 2) },
  { name: 'zstd cut inside a magic number', bytes: Buffer.concat([zstd, Buffer.from([0x28, 0xb5])]) },
  { name: 'zstd followed by something else', bytes: Buffer.concat([zstd, Buffer.from('garbage')]) },
  { name: 'zstd with a broken block', bytes: Buffer.concat([zstd.subarray(0, 9), Buffer.alloc(500, 0xff)]) },
]

for (const { name, bytes } of damaged)
  test(`${name} is an error, not an early end`, async () => {
    for (const pieceBytes of [61, bytes.length])
      await assert.rejects(unfold(bytes, pieceBytes), (error) => {
        assert.ok(error instanceof LayerError)
        assert.equal(error.code, 'COMPRESSION_BROKEN')
        return true
      })
  })

test('bzip2 and xz are named as what they are', () => {
  for (const magic of ['BZh91AY', '\xfd7zXZ\0'])
    assert.throws(() => detectCompression(Buffer.from(magic, 'latin1')), { code: 'COMPRESSION_UNSUPPORTED' })
})

test('an error of the source comes out as it is', async () => {
  async function* breaking() {
    yield gzip.subarray(0, 1000)
    throw new Error('the connection broke')
  }
  await assert.rejects(async () => {
    for await (const _ of decompress(breaking()));
  }, /the connection broke/)
})

test('a reader that leaves early closes the source', async () => {
  let closed = false
  async function* source() {
    try {
      for (;;) yield gzipSync(randomBytes(1000))
    } finally {
      closed = true
    }
  }
  for await (const _ of decompress(source())) break
  assert.equal(closed, true)
})

test('a zstd frame may be as small as its format allows, and pieces never cross a boundary', () => {
  const frames = [zstdCompressSync(''), zstdCompressSync('a'), zstdCompressSync(Buffer.alloc(1_000_000))]
  const follower = new ZstdFrames()
  const pieces = [...follower.split(Buffer.concat(frames))].map((piece) => Buffer.from(piece))
  assert.deepEqual(pieces, frames)
  assert.equal(follower.whole, true)
})
