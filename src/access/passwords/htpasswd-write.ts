// Writes the htpasswd file: for the first time, and user by user.
import { randomBytes } from 'node:crypto'
import { mkdir, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hashPassword } from '#access/passwords/bcrypt.ts'
import { readBounded } from '#access/passwords/htpasswd-file.ts'

/** For hashes that we make. The reasons stand in docs/decisions/0005-password-hashing.md. */
export const BCRYPT_COST = 10
/** bcrypt does not look further. */
export const PASSWORD_BYTES_MAX = 72
export const USER_BYTES_MAX = 255

// biome-ignore lint/suspicious/noControlCharactersInRegex: a line of the file must stay one line
const CONTROL = /[\u0000-\u001f\u007f]/

/**
 * Makes the file with one user, and the folders above it.
 * @returns false when a file is there already, which is left alone
 */
export async function createHtpasswd(file: string, user: string, password: string): Promise<boolean> {
  return createWith(file, await lineOf(user, password))
}

/**
 * Adds a user or replaces the password of one; all other lines stay as they are. Readers see the old file or the new one.
 * The new one keeps the owner of the old one, so that a server which runs as somebody else can still read it.
 * @throws Error for a name or password that the file cannot hold
 */
export async function setHtpasswdUser(file: string, user: string, password: string): Promise<void> {
  const line = await lineOf(user, password)
  if (await createWith(file, line)) return
  // A link stays a link: what it points at is replaced.
  const target = await realpath(file)
  const before = await open(target, 'r')
  try {
    const owner = await before.stat()
    const lines = (await readBounded(before, target)).split('\n')
    if (lines.at(-1) === '') lines.pop()
    const kept = lines.filter((existing) => existing.trim().split(':', 1)[0] !== user)
    await replace(target, [...kept.map((existing) => `${existing}\n`), line].join(''), owner)
  } finally {
    await before.close()
  }
}

async function createWith(file: string, line: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(line)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  await syncFolder(dirname(file))
  return true
}

async function replace(file: string, text: string, owner: { uid: number; gid: number }): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      const own = await handle.stat()
      if (own.uid !== owner.uid || own.gid !== owner.gid) await handle.chown(owner.uid, owner.gid)
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(file))
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function lineOf(user: string, password: string): Promise<string> {
  const bytes = Buffer.byteLength(user)
  if (bytes === 0 || bytes > USER_BYTES_MAX) throw new Error(`a user name has 1 to ${USER_BYTES_MAX} bytes`)
  if (/[:#]|^\s|\s$/.test(user) || CONTROL.test(user))
    throw new Error(
      'a user name holds no colon, no # and no control characters, and begins and ends with no space',
    )
  if (password === '') throw new Error('the password is empty')
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX)
    throw new Error(`the password is longer than the ${PASSWORD_BYTES_MAX} bytes that bcrypt looks at`)
  if (CONTROL.test(password))
    throw new Error('the password holds control characters, which no client can send')
  return `${user}:${await hashPassword(password, BCRYPT_COST)}\n`
}
