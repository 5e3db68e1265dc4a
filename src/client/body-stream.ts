// A source as the stream that undici sends. When undici gives the stream up, the source is told by a rejected sink.
import { Readable } from 'node:stream'
import type { ByteSink, ByteSource } from '#lib/byte-source.ts'

/** What goes to the socket at once: at 4 KiB a second it still shows progress within a minute. */
const BODY_SLICE_BYTES = 256 * 1024

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('cancelled', { cause: error })
}

/**
 * @param onTaken whenever more is asked for
 * @param onEnd when all of it was taken
 * @param onSourceError what the source itself failed with, before the stream does
 */
export function readableOf(
  source: ByteSource,
  onTaken: () => void,
  onEnd: () => void,
  onSourceError: (error: unknown) => void,
): Readable {
  let started = false
  /** More than one where the source could not wait at once, as TLS with records that are decrypted already. */
  let taken: { resolve: () => void; reject: (error: Error) => void }[] = []
  const givenUp = new Error('the request ended before its body')
  const sink: ByteSink = (chunk) => {
    if (readable.destroyed) throw givenUp
    let more = true
    for (let at = 0; at < chunk.byteLength; at += BODY_SLICE_BYTES) {
      more = readable.push(chunk.subarray(at, at + BODY_SLICE_BYTES))
    }
    if (more) return undefined
    return new Promise((resolve, reject) => {
      taken.push({ resolve, reject })
    })
  }
  const readable = new Readable({
    highWaterMark: BODY_SLICE_BYTES,
    read() {
      onTaken()
      if (!started) {
        started = true
        source(sink).then(
          () => readable.push(null),
          (error: unknown) => {
            if (readable.destroyed) return
            onSourceError(error)
            readable.destroy(asError(error))
          },
        )
      }
      const waiting = taken
      taken = []
      for (const { resolve } of waiting) resolve()
    },
    destroy(error, done) {
      for (const { reject } of taken) reject(givenUp)
      taken = []
      done(error)
    },
  })
  readable.once('end', onEnd)
  return readable
}
