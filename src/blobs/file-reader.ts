// Reads a file in large pieces into two buffers: the next read overlaps the use of the current piece.
import fs from 'node:fs'
import { closeFile, isAbsent, openFile, readInto } from '#blobs/file-calls.ts'
import type { BlobReader } from '#blobs/store.ts'

/** Memory per reader is twice this, less for a small blob. Measured: 256 KiB to 1 MiB cost the same within the noise. */
const READ_BYTES = 512 * 1024

export class FileReader implements BlobReader {
  readonly size: number
  readonly modifiedAt: number
  readonly #fd: number
  #reading = 0
  #whenIdle: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** Owns the descriptor from here on. */
  constructor(fd: number, size: number, modifiedAt: number) {
    this.#fd = fd
    this.size = size
    this.modifiedAt = modifiedAt
  }

  async *chunks(start = 0, end = this.size): AsyncGenerator<Uint8Array, void, undefined> {
    if (!(start >= 0 && start <= end && end <= this.size))
      throw new RangeError(`bytes ${start} to ${end} of ${this.size}`)
    if (start === end) return
    // Not taken from a pool: memory that is reused for another reader could reach a reader of another tenant, when a
    // chunk is still on its way to a socket as this one closes.
    const bytes = Math.min(READ_BYTES, end - start)
    let current = Buffer.allocUnsafeSlow(bytes)
    let spare = start + bytes < end ? Buffer.allocUnsafeSlow(bytes) : current
    let position = start
    let next = this.#read(current, position, end)
    while (position < end) {
      const chunk = await next
      position += chunk.length
      if (position < end) {
        next = this.#read(spare, position, end)
        // Who stops early never asks for this one; who goes on gets its rejection above.
        next.catch(() => {})
      }
      yield chunk
      const free = current
      current = spare
      spare = free
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #read(buffer: Buffer, position: number, end: number): Promise<Uint8Array> {
    if (this.#closing) throw new Error('the blob reader is closed')
    const wanted = Math.min(buffer.length, end - position)
    this.#reading++
    try {
      const count = await readInto(this.#fd, buffer, wanted, position)
      if (count < wanted) throw new Error(`the file ends at ${position + count}, before ${end}`)
      return count === buffer.length ? buffer : buffer.subarray(0, count)
    } finally {
      this.#reading--
      if (this.#reading === 0) this.#whenIdle?.()
    }
  }

  async #close(): Promise<void> {
    // A number that is closed under a read may name another file by the time the read runs.
    if (this.#reading > 0)
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    await closeFile(this.#fd, this.size)
  }
}

export async function openReader(path: string): Promise<FileReader | undefined> {
  const file = await openForReading(path)
  return file && new FileReader(file.fd, file.size, file.modifiedAt)
}

export async function openForReading(path: string) {
  let fd: number
  try {
    fd = await openFile(path, 'r')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  const stat = fs.fstatSync(fd)
  if (stat.isFile()) return { fd, size: stat.size, modifiedAt: stat.mtimeMs }
  fs.closeSync(fd)
  return undefined
}
