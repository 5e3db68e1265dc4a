import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verified } from '#client/verify.ts'
import { emptySource, sourceOf } from '#lib/byte-source.ts'
import { digestOf } from '#oci/digest.ts'

const bytes = Buffer.from('the bytes that were meant')
const descriptor = { mediaType: 'text/plain', digest: digestOf(bytes), size: bytes.byteLength }

async function received(...chunks: readonly Uint8Array[]) {
  const got: Uint8Array[] = []
  const error = await verified(
    descriptor,
    sourceOf(...chunks),
    'the test',
  )((chunk) => {
    got.push(chunk)
    return undefined
  }).then(
    () => undefined,
    (reason: Error) => reason,
  )
  return { got: Buffer.concat(got), error }
}

test('right bytes pass, in whatever pieces', async () => {
  assert.deepEqual(await received(bytes), { got: bytes, error: undefined })
  assert.deepEqual(await received(...[...bytes].map((byte) => Buffer.of(byte)), Buffer.alloc(0)), {
    got: bytes,
    error: undefined,
  })
})

test('of wrong bytes the last piece is never passed on', async () => {
  const wrong = Buffer.from('the bytes that were mEant')
  const { got, error } = await received(wrong.subarray(0, 10), wrong.subarray(10))
  assert.match(error?.message ?? '', /the test sent content with the digest/)
  assert.equal(got.byteLength, 10)
})

test('what is too long is cut, and what is too short is noticed at its end', async () => {
  const long = await received(bytes, Buffer.from('!'))
  assert.match(long.error?.message ?? '', /more than the 25 bytes announced/)
  assert.equal(long.got.byteLength, bytes.byteLength)
  const short = await received(bytes.subarray(1))
  assert.match(short.error?.message ?? '', /only 24 of the 25 bytes announced/)
})

test('nothing at all is right for the empty blob alone', async () => {
  const empty = { mediaType: 'text/plain', digest: digestOf(''), size: 0 }
  await verified(empty, emptySource, 'the test')(() => undefined)
  const other = { ...empty, digest: digestOf('x') }
  await assert.rejects(
    verified(other, emptySource, 'the test')(() => undefined),
    { kind: 'corrupt' },
  )
})

test('sha512 is checked as well', async () => {
  const long = { ...descriptor, digest: digestOf(bytes, 'sha512') }
  await verified(long, sourceOf(bytes), 'the test')(() => undefined)
  const wrong = { ...descriptor, digest: digestOf('x', 'sha512') }
  await assert.rejects(
    verified(wrong, sourceOf(bytes), 'the test')(() => undefined),
    { kind: 'corrupt' },
  )
})
