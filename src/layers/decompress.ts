// Unfolds a compressed stream: gzip (any number of members), zstd (any number of frames) or plain, told by its first
// bytes. A media type is a claim of whoever pushed; docker, too, looks at the bytes.
import { once } from 'node:events'
import type { Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { LayerError } from '#layers/layer-error.ts'
import { ZstdFrames } from '#layers/zstd-frames.ts'

/** 2^27 bytes = 128 MiB: what `zstd --ultra -22` needs, and all that a frame can make us allocate. */
const ZSTD_WINDOW_LOG_MAX = 27
const OUTPUT_CHUNK_BYTES = 128 * 1024

export type Compression = 'gzip' | 'zstd' | 'none'

const MAGIC_BYTES = 6
const BZIP2 = [0x42, 0x5a, 0x68]
const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, at) => bytes[at] === byte)
}

/**
 * @param head the first bytes of the stream, six where it has as many
 * @throws LayerError COMPRESSION_UNSUPPORTED for bzip2 and xz, which no OCI media type allows
 */
export function detectCompression(head: Uint8Array): Compression {
  if (startsWith(head, [0x1f, 0x8b])) return 'gzip'
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return 'zstd'
  // A skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (startsWith(head.subarray(1), [0x2a, 0x4d, 0x18]) && ((head[0] ?? 0) & 0xf0) === 0x50) return 'zstd'
  if (startsWith(head, BZIP2) || startsWith(head, XZ))
    throw new LayerError('COMPRESSION_UNSUPPORTED', 'the layer is compressed with neither gzip nor zstd')
  return 'none'
}

/** Chunks may be lent: each is used up before the next is asked for. What comes out is lent in the same way. */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]()
  try {
    let head: Uint8Array = new Uint8Array(0)
    let ended = false
    while (head.length < MAGIC_BYTES && !ended) {
      const { value, done } = await chunks.next()
      if (done) ended = true
      else head = head.length === 0 ? value.slice() : Buffer.concat([head, value])
    }
    const compression = detectCompression(head)
    const all = rejoin(head, chunks)
    if (compression === 'none') yield* all
    else if (compression === 'gzip') yield* through(createGunzip({ chunkSize: OUTPUT_CHUNK_BYTES }), all)
    else yield* through(zstdDecoder(), frames(all))
  } finally {
    await chunks.return?.()
  }
}

function zstdDecoder(): Transform {
  return createZstdDecompress({
    chunkSize: OUTPUT_CHUNK_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
  })
}

async function* rejoin(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (;;) {
    const { value, done } = await rest.next()
    if (done) return
    yield value
  }
}

async function* frames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const follower = new ZstdFrames()
  for await (const chunk of source) yield* follower.split(chunk)
  if (!follower.whole) throw new LayerError('COMPRESSION_BROKEN', 'the zstd stream ends inside a frame')
}

async function* through(decoder: Transform, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let sourceError: unknown
  const feed = async () => {
    try {
      for await (const chunk of source) {
        // The callback comes when the chunk has been read to its end, so its memory may be used again.
        await new Promise<void>((resolve, reject) => {
          decoder.write(chunk, (error) => (error ? reject(error) : resolve()))
        })
      }
      decoder.end()
    } catch (error) {
      if (!decoder.destroyed) {
        sourceError = error
        decoder.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    }
  }
  // Never rejects. It is not waited for: when the reader leaves early, its last write may have no answer.
  void feed()
  try {
    for await (const chunk of decoder) yield chunk as Buffer
  } catch (error) {
    if (sourceError !== undefined) throw sourceError
    throw new LayerError('COMPRESSION_BROKEN', 'the compressed layer is damaged or cut short', {
      cause: error,
    })
  } finally {
    if (!decoder.closed) {
      decoder.destroy()
      if (!decoder.closed) await once(decoder, 'close')
    }
  }
}
