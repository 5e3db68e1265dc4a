// Reads the htpasswd file.
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { costOf } from '#access/passwords/bcrypt.ts'
import { BCRYPT_COST_MAX } from '#access/passwords/passwords.ts'

export const HTPASSWD_BYTES_MAX = 4 * 1024 * 1024
const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/

export interface HtpasswdContent {
  /** Hash by user; the last line of a user counts, as in registry:2. */
  readonly hashes: ReadonlyMap<string, string>
  /** Users that cannot log in, and why. */
  readonly ignored: readonly { readonly user: string; readonly why: string }[]
  /** Tells one state of the file from another. */
  readonly version: string
}

/** @throws when the file cannot be read, is too large, or holds a line that is none of htpasswd */
export async function readHtpasswd(file: string): Promise<HtpasswdContent> {
  const handle = await open(file, 'r')
  try {
    // The version is taken first: a change while we read shows as another version at the next look.
    const version = versionOf(await handle.stat({ bigint: true }))
    return { ...parseHtpasswd(await readBounded(handle, file), file), version }
  } finally {
    await handle.close()
  }
}

/** Two states of a file with one version hold the same. */
export function versionOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino}-${size}-${mtimeNs}-${ctimeNs}`
}

/** @throws when the file is larger than HTPASSWD_BYTES_MAX, or grows while it is read */
export async function readBounded(handle: FileHandle, file: string): Promise<string> {
  const found = await handle.stat()
  // Debian's configuration of docker-registry names one.
  if (found.isDirectory()) throw new Error(`${file} is a folder: auth.htpasswd.path names a file`)
  const { size } = found
  if (size > HTPASSWD_BYTES_MAX)
    throw new Error(`${file} has ${size} bytes: at most ${HTPASSWD_BYTES_MAX} are read`)
  const buffer = Buffer.alloc(size + 1)
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length)
    if (bytesRead === 0) return buffer.toString('utf8', 0, length)
    length += bytesRead
  }
  throw new Error(`${file} grew while it was read`)
}

/** @throws when a line is not `user:hash`, or a bcrypt hash is torn */
export function parseHtpasswd(text: string, file: string): Omit<HtpasswdContent, 'version'> {
  const hashes = new Map<string, string>()
  const ignored = new Map<string, string>()
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim()
    if (entry === '' || entry.startsWith('#')) continue
    const colon = entry.indexOf(':')
    if (colon < 1) throw new Error(`${file} line ${index + 1} is not of the form user:hash`)
    const user = entry.slice(0, colon)
    // Anything behind a second colon is a comment of Apache's.
    const hashed = entry.slice(colon + 1).split(':', 1)[0] ?? ''
    hashes.delete(user)
    ignored.delete(user)
    if (!/^\$2[aby]\$/.test(hashed)) ignored.set(user, 'only bcrypt hashes are accepted: htpasswd -B')
    else if (!BCRYPT.test(hashed))
      throw new Error(`${file} line ${index + 1} has a bcrypt hash that is not whole`)
    else if (costOf(hashed) > BCRYPT_COST_MAX) ignored.set(user, `the cost is above ${BCRYPT_COST_MAX}`)
    else hashes.set(user, hashed)
  }
  return { hashes, ignored: [...ignored].map(([user, why]) => ({ user, why })) }
}
