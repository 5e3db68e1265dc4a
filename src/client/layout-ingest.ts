// Brings a blob into a layout folder. Two that want the same blob share one download, in one process or in several.
//
//   <folder>/blobs/<algorithm>/<encoded>              complete and verified, always
//   <folder>/.ingest/<algorithm>-<encoded>.lock       somebody is downloading it: its mtime says that he lives
//   <folder>/.ingest/<random>.part                    the bytes so far
//
// The lock only saves work: without it, or after it was broken, two downloads end in the same verified bytes.
import { randomUUID } from 'node:crypto'
import { renameSync, statSync } from 'node:fs'
import { mkdir, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { closeFile, openFile, removeFile } from '#blobs/file-calls.ts'
import { FileSink } from '#client/file-sink.ts'
import { absent } from '#client/layout-index.ts'
import { pause } from '#client/pause.ts'
import type { BlobContent, PushOutcome } from '#client/place.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'

/** Below this a lock costs more than the download that it may save. */
const LOCK_BYTES_MIN = 64 * 1024
const HEARTBEAT_MS = 2_000
const LOCK_STALE_MS = 10_000
/** Others may take the empty folder away again and again, but hardly so often. */
const STAGING_TRIES_MAX = 1_000
const POLL_MIN_MS = 20
const POLL_MAX_MS = 500
/** Left behind by a process that died; nobody else has files this old open without writing to them. */
const PART_STALE_MS = 24 * 3600 * 1000

export function blobPath(folder: string, digest: Digest): string {
  return join(folder, 'blobs', algorithmOf(digest), encodedOf(digest))
}

/** Brings blobs into one folder. What it made for them is taken away by the last one that ends. */
export class LayoutIngest {
  readonly #folder: string
  readonly #staging: string
  readonly #blobFolders = new Set<string>()
  #active = 0
  #hasStaging = false

  constructor(folder: string) {
    this.#folder = folder
    this.#staging = join(folder, '.ingest')
  }

  async run(
    descriptor: Descriptor,
    content: BlobContent,
    signal: AbortSignal | undefined,
  ): Promise<PushOutcome> {
    const target = blobPath(this.#folder, descriptor.digest)
    this.#active += 1
    try {
      await this.#makeBlobFolder(dirname(target))
      if (descriptor.size < LOCK_BYTES_MIN) return await this.#bring(target, descriptor, content)
      const name = `${algorithmOf(descriptor.digest)}-${encodedOf(descriptor.digest)}.lock`
      const lock = await this.#lock(join(this.#staging, name), target, descriptor, signal)
      return lock ? await this.#withLock(lock, target, descriptor, content) : 'present'
    } finally {
      this.#active -= 1
      if (this.#active === 0) {
        this.#hasStaging = false
        await tidy(this.#staging)
      }
    }
  }

  async #makeBlobFolder(path: string): Promise<void> {
    if (this.#blobFolders.has(path)) return
    await mkdir(path, { recursive: true })
    this.#blobFolders.add(path)
  }

  /** Undefined when the blob is there. */
  async #lock(
    path: string,
    target: string,
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    let tries = 0
    for (let pollMs = POLL_MIN_MS; ; ) {
      signal?.throwIfAborted()
      if (await isWhole(target, descriptor)) return undefined
      await this.#makeStaging()
      const lock = await takeLock(path)
      if (lock === 'taken') return path
      if (lock === 'no folder' && tries < STAGING_TRIES_MAX) {
        tries += 1
        this.#hasStaging = false
        continue
      }
      await pause(pollMs, signal)
      pollMs = Math.min(pollMs * 2, POLL_MAX_MS)
    }
  }

  async #withLock(
    lock: string,
    target: string,
    descriptor: Descriptor,
    content: BlobContent,
  ): Promise<PushOutcome> {
    const heartbeat = setInterval(() => {
      const now = new Date()
      utimes(lock, now, now).catch(() => {})
    }, HEARTBEAT_MS).unref()
    try {
      // Whoever had the lock before may have finished between the look and the lock.
      return await this.#bring(target, descriptor, content)
    } finally {
      clearInterval(heartbeat)
      await removeFile(lock).catch(absent)
    }
  }

  async #bring(target: string, descriptor: Descriptor, content: BlobContent): Promise<PushOutcome> {
    if (await isWhole(target, descriptor)) return 'present'
    const part = join(this.#staging, `${randomUUID()}.part`)
    await download(await this.#open(part), part, target, content)
    return 'copied'
  }

  /** A new file. */
  async #open(part: string): Promise<number> {
    for (let tries = 0; tries < STAGING_TRIES_MAX; tries++) {
      await this.#makeStaging()
      const fd = await openFile(part, 'wx').catch(absent)
      if (fd !== undefined) return fd
      this.#hasStaging = false
    }
    return await openFile(part, 'wx')
  }

  /** Another program may take the folder away at any time while it is empty: then it is made again. */
  async #makeStaging(): Promise<void> {
    if (this.#hasStaging) return
    await mkdir(this.#staging, { recursive: true }).catch(absent)
    this.#hasStaging = true
  }
}

/** A file of the right size is a blob: only verified bytes get that name, but a crash may have cut one short. */
export async function isWhole(path: string, descriptor: Descriptor): Promise<boolean> {
  // At once: a trip through the pool costs ten times the call, and images have many small blobs.
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isFile() === true && found.size === descriptor.size
}

async function download(fd: number, part: string, target: string, content: BlobContent): Promise<void> {
  let bytes = 0
  try {
    try {
      const sink = new FileSink(fd)
      try {
        await content.whole()((chunk) => {
          bytes += chunk.byteLength
          return sink.write(chunk)
        })
      } finally {
        // Also after a failure: no write may be under way when the file is closed.
        await sink.flush()
      }
    } finally {
      await closeFile(fd, bytes)
    }
    renameSync(part, target)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

async function takeLock(path: string): Promise<'taken' | 'held' | 'no folder'> {
  try {
    await closeFile(await openFile(path, 'wx'), 0)
    return 'taken'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return 'no folder'
    if (code !== 'EEXIST') throw error
  }
  const held = await stat(path).catch(absent)
  if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) await rm(path, { force: true })
  return 'held'
}

/** Leaves no empty folder behind, and nothing of processes that died long ago. */
async function tidy(staging: string): Promise<void> {
  for (const name of await readdir(staging).catch(() => [])) {
    const path = join(staging, name)
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > PART_STALE_MS) await rm(path, { force: true })
  }
  // Fails while somebody else is at work there, as it should.
  await rmdir(staging).catch(() => {})
}
