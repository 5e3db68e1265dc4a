// Brings a blob into a layout folder. Two that want the same blob share one download, in one process or in several.
//
//   <folder>/blobs/<algorithm>/<encoded>              complete and verified, always
//   <folder>/.ingest/<algorithm>-<encoded>.lock       somebody is downloading it: its mtime says that he lives
//   <folder>/.ingest/<random>.part                    the bytes so far
//
// The lock only saves work: without it, or after it was broken, two downloads end in the same verified bytes.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FileSink } from '#client/file-sink.ts'
import { absent } from '#client/layout-index.ts'
import { pause } from '#client/pause.ts'
import type { BlobContent, PushOutcome } from '#client/place.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'

const HEARTBEAT_MS = 2_000
const LOCK_STALE_MS = 10_000
const POLL_MIN_MS = 20
const POLL_MAX_MS = 500
/** Left behind by a process that died; nobody else has files this old open without writing to them. */
const PART_STALE_MS = 24 * 3600 * 1000

export function blobPath(folder: string, digest: Digest): string {
  return join(folder, 'blobs', algorithmOf(digest), encodedOf(digest))
}

export async function ingest(
  folder: string,
  descriptor: Descriptor,
  content: BlobContent,
  signal: AbortSignal | undefined,
): Promise<PushOutcome> {
  const target = blobPath(folder, descriptor.digest)
  const staging = join(folder, '.ingest')
  const lock = join(staging, `${algorithmOf(descriptor.digest)}-${encodedOf(descriptor.digest)}.lock`)
  await mkdir(dirname(target), { recursive: true })
  for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(pollMs * 2, POLL_MAX_MS)) {
    signal?.throwIfAborted()
    if (await isWhole(target, descriptor)) return 'present'
    await mkdir(staging, { recursive: true })
    if (await takeLock(lock)) break
    await pause(pollMs, signal)
  }
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimes(lock, now, now).catch(() => {})
  }, HEARTBEAT_MS).unref()
  try {
    // Whoever had the lock before may have finished between the look and the lock.
    if (await isWhole(target, descriptor)) return 'present'
    await download(join(staging, `${randomBytes(8).toString('hex')}.part`), target, content)
    return 'copied'
  } finally {
    clearInterval(heartbeat)
    await rm(lock, { force: true })
    await tidy(staging)
  }
}

/** A file of the right size is a blob: only verified bytes get that name, but a crash may have cut one short. */
export async function isWhole(path: string, descriptor: Descriptor): Promise<boolean> {
  const found = await stat(path).catch(absent)
  return found?.isFile() === true && found.size === descriptor.size
}

async function download(part: string, target: string, content: BlobContent): Promise<void> {
  try {
    const file = await open(part, 'wx')
    try {
      const sink = new FileSink(file.fd)
      try {
        await content.whole()((chunk) => sink.write(chunk))
      } finally {
        // Also after a failure: no write may be under way when the file is closed.
        await sink.flush()
      }
    } finally {
      await file.close()
    }
    await rename(part, target)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

async function takeLock(path: string): Promise<boolean> {
  const take = () => writeFile(path, '', { flag: 'wx' })
  try {
    await take()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const held = await stat(path).catch(absent)
  if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) await rm(path, { force: true })
  return false
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
