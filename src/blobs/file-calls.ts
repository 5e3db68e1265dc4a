// The calls of the operating system that the stores are made of, through the callback API: cheaper than FileHandle.
//
// Which calls may be synchronous was measured (ext4, 2 cores, Node 24). A trip through libuv's pool costs 25-50 us of CPU
// whatever it does; the call itself often 2-20 us. Under two bulk writers and two loops of fsync the synchronous calls took:
//
//   create   p50 1.2 ms, p99 3.7 ms     waits for the journal: never on the event loop
//   mkdir    p50 0.4 ms, p99 4.8 ms     likewise
//   write    can be held back for 200 ms when the disk is behind: never on the event loop
//   rename   p50 0.04 ms, p99 0.11 ms   synchronous, but only where it replaces nothing (freeing a large file takes long)
//   open     p50 0.01 ms, p99 0.05 ms   synchronous, but only of what we have just written (a cold inode is read from disk)
//   fstat, close                        synchronous; a large file is closed in the pool, since that may free its blocks
import fs from 'node:fs'
import { promisify } from 'node:util'
import { OciError } from '#oci/errors.ts'

export const openFile = promisify(fs.open)
export const makeFolder = promisify(fs.mkdir)
export const renameFile = promisify(fs.rename)
export const removeFile = promisify(fs.unlink)
export const removeFolder = promisify(fs.rmdir)
export const statFile = promisify(fs.stat)
export const truncateFile = promisify(fs.ftruncate)
export const syncData = promisify(fs.fdatasync)
const syncAll = promisify(fs.fsync)
const closeInPool = promisify(fs.close)

const CLOSE_AT_ONCE_BYTES_MAX = 1024 * 1024

/** Closes a file of that many bytes. */
export async function closeFile(fd: number, bytes: number): Promise<void> {
  if (bytes <= CLOSE_AT_ONCE_BYTES_MAX) fs.closeSync(fd)
  else await closeInPool(fd)
}

/** Makes the names in a folder durable. The folder has just been used, so opening it does not reach the disk. */
export async function syncFolder(folder: string): Promise<void> {
  const fd = fs.openSync(folder, 'r')
  try {
    await syncAll(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** Writes every byte of the chunks at the position. Rejects with what the system said; some bytes may be there then. */
export async function writeChunks(
  fd: number,
  chunks: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = chunks
  let at = position
  while (left.length > 0) {
    const written = await writeSome(fd, left, at)
    at += written
    left = behind(left, written)
    // A short write is followed by the error that cut it short; one that makes no progress would never end.
    if (written === 0 && left.length > 0)
      throw new Error('the file takes no more bytes, and does not say why')
  }
}

function writeSome(fd: number, chunks: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, written: number) => (error ? reject(error) : resolve(written))
    const [only] = chunks
    if (only && chunks.length === 1) fs.write(fd, only, 0, only.length, position, done)
    else fs.writev(fd, chunks, position, done)
  })
}

function behind(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes
  for (const [index, chunk] of chunks.entries()) {
    if (skip < chunk.length) return [chunk.subarray(skip), ...chunks.slice(index + 1)]
    skip -= chunk.length
  }
  return []
}

/** Reads until `length` bytes of the buffer are filled or the file ends; tells how many there were. */
export async function readInto(
  fd: number,
  buffer: Uint8Array,
  length: number,
  position: number,
): Promise<number> {
  let filled = 0
  while (filled < length) {
    const count = await readSome(fd, buffer, filled, length - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return filled
}

function readSome(
  fd: number,
  buffer: Uint8Array,
  at: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, at, length, position, (error, count) => (error ? reject(error) : resolve(count)))
  })
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** True when there is nothing of that name: also when what should be a folder above it is a file. */
export function isAbsent(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The failure as the domain says it: a full disk or quota is STORAGE_FULL, all else is passed on as it is. */
export function storageFailure(error: unknown): unknown {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT' ? new OciError('STORAGE_FULL', { cause: error }) : error
}
