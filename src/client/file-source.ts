// Reads a part of a file as a source: the next read is under way while the sink takes the current chunk.
import { type FileHandle, open } from 'node:fs/promises'
import type { ByteSource } from '#lib/byte-source.ts'
import { SlabCursor, type SlabPool } from '#lib/slab.ts'

const READ_BYTES_MAX = 512 * 1024

export interface FilePart {
  readonly path: string
  /** Bytes from the beginning of the file. */
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

/**
 * @param pool where buffers come from and go back to, so that many files need few
 * @throws when the file is gone or ends early; the signal's reason between two chunks
 */
export function fileSource({ path, start, end }: FilePart, pool: SlabPool, signal?: AbortSignal): ByteSource {
  return async (sink) => {
    const file = await open(path, 'r')
    const slabs = new SlabCursor(pool)
    try {
      let at = start
      let next = read(file, slabs, at, end)
      while (at < end) {
        const chunk = await next
        if (chunk.byteLength === 0) throw new Error(`${path} ends at ${at}, before ${end}`)
        signal?.throwIfAborted()
        at += chunk.byteLength
        next = read(file, slabs, at, end)
        try {
          await sink(chunk)
        } catch (error) {
          // The file is closed below, so no read of ours may still be under way.
          await next.catch(() => {})
          throw error
        }
      }
      await next
    } finally {
      slabs.end()
      await file.close()
    }
  }
}

/** Empty at the end. Whoever gives the chunk back lets its memory be used again. */
async function read(file: FileHandle, slabs: SlabCursor, at: number, end: number): Promise<Uint8Array> {
  if (at >= end) return new Uint8Array(0)
  const space = slabs.space()
  const { bytesRead } = await file.read(space, 0, Math.min(READ_BYTES_MAX, space.byteLength, end - at), at)
  return slabs.filled(bytesRead)
}
