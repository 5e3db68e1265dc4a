// Makes files of a tree on disk. Every call names a path whose folders this run has made by mkdir under that very name,
// and makes its last part new (mkdir, open O_EXCL, symlink, link): so the system follows no symlink of an image, also
// where the file system takes two names of the tree for one (case, Unicode form): there the second is an error.
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import {
  chmod,
  type FileHandle,
  lchown,
  link,
  lutimes,
  mkdir,
  open,
  rm,
  symlink,
  utimes,
} from 'node:fs/promises'
import { promisify } from 'node:util'
import type { PathParts } from '#layers/entry-path.ts'
import { LayerError, printable } from '#layers/layer-error.ts'
import { diskPath, isPlainText } from '#layers/path-text.ts'
import type { Inode } from '#layers/tree.ts'

const run = promisify(execFile)

/** More are counted, but not listed. */
export const SKIPPED_LISTED_MAX = 1000

export interface Skipped {
  readonly path: string
  /** `device`, `fifo`, or the full name of an extended attribute. */
  readonly what: string
  readonly why: string
}

export interface Disk {
  /** An empty folder that nobody else writes to. */
  readonly root: string
  /** True to give files their owners and make device nodes, which only root may. */
  readonly asRoot: boolean
  /** Told of everything that the system does not let us make. */
  readonly skip: (skipped: Skipped) => void
}

// What the host's own policy sets, and what would steer an overlay mount of the result.
const XATTRS_REFUSED = /^(?:security\.selinux$|(?:trusted|user)\.overlay\.)/
const TOOL_MS_MAX = 10_000

function textPath(disk: Disk, path: PathParts): string {
  return [disk.root, ...path].join('/')
}

function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return 'the system refused'
  if ('code' in error && error.code === 'ENOENT') return 'the program for it is not installed'
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
  return said.split(': ').at(-1)?.split('\n')[0] || 'the system refused'
}

/** @throws LayerError WRITE_FAILED with the name of the entry, where the file system refuses */
async function asked<T>(path: PathParts, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const name = printable(path.join('/'))
    throw new LayerError('WRITE_FAILED', `cannot make ${name}: ${why}`, {
      detail: { name, code: why },
      cause: error,
    })
  }
}

export async function makeFolder(disk: Disk, path: PathParts): Promise<void> {
  // Open for us alone until everything in it is made; finishFolder gives the mode that was asked for.
  await asked(path, () => mkdir(diskPath(textPath(disk, path)), 0o700))
}

export async function removePath(disk: Disk, path: PathParts): Promise<void> {
  await asked(path, () => rm(diskPath(textPath(disk, path)), { recursive: true, force: true }))
}

export async function makeFile(
  disk: Disk,
  path: PathParts,
  inode: Inode,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
  const flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY
  const file = await asked(path, () => open(diskPath(textPath(disk, path)), flags, 0o600))
  try {
    for await (const chunk of content) await asked(path, () => writeAll(file, chunk))
    await asked(path, async () => {
      // Changing the owner takes setuid and capabilities away, so it comes first; times come last.
      if (disk.asRoot) await file.chown(inode.uid, inode.gid)
      await setXattrs(disk, path, inode)
      await file.chmod(inode.mode)
      await file.utimes(inode.mtime, inode.mtime)
    })
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, at)
    at += bytesWritten
  }
}

export async function makeSymlink(disk: Disk, path: PathParts, inode: Inode): Promise<void> {
  const at = diskPath(textPath(disk, path))
  await asked(path, async () => {
    await symlink(diskPath(inode.target), at)
    if (disk.asRoot) await lchown(at, inode.uid, inode.gid)
    await setXattrs(disk, path, inode)
    await lutimes(at, inode.mtime, inode.mtime)
  })
}

export async function makeLink(disk: Disk, path: PathParts, linkOf: PathParts): Promise<void> {
  await asked(path, () => link(diskPath(textPath(disk, linkOf)), diskPath(textPath(disk, path))))
}

/** A fifo or a device node. Marks the inode where the system does not let us. */
export async function makeSpecial(disk: Disk, path: PathParts, inode: Inode): Promise<void> {
  const what = inode.kind === 'fifo' ? 'fifo' : 'device'
  const at = textPath(disk, path)
  const skip = (why: string) => {
    inode.skipped = true
    disk.skip({ path: path.join('/'), what, why })
  }
  if (what === 'device' && !disk.asRoot) return skip('only root may make device nodes')
  if (!isPlainText(at)) return skip('its name is not UTF-8')
  const type = inode.kind === 'fifo' ? 'p' : inode.kind === 'block-device' ? 'b' : 'c'
  const numbers = what === 'device' ? [String(inode.deviceMajor), String(inode.deviceMinor)] : []
  try {
    await run('mknod', ['-m', '600', at, type, ...numbers], { timeout: TOOL_MS_MAX })
  } catch (error) {
    return skip(whyOf(error))
  }
  await asked(path, async () => {
    if (disk.asRoot) await lchown(at, inode.uid, inode.gid)
    await setXattrs(disk, path, inode)
    await chmod(at, inode.mode)
    await lutimes(at, inode.mtime, inode.mtime)
  })
}

/** Gives a folder its owner, attributes, mode and time: after everything in it is made and finished. */
export async function finishFolder(disk: Disk, path: PathParts, inode: Inode): Promise<void> {
  const at = diskPath(textPath(disk, path))
  await asked(path, async () => {
    if (disk.asRoot) await lchown(at, inode.uid, inode.gid)
    await setXattrs(disk, path, inode)
    await chmod(at, inode.mode)
    await utimes(at, inode.mtime, inode.mtime)
  })
}

/** Node has no call for extended attributes: setfattr (Debian and Fedora package `attr`) does it where it is there. */
async function setXattrs(disk: Disk, path: PathParts, inode: Inode): Promise<void> {
  const at = textPath(disk, path)
  for (const [name, value] of inode.xattrs) {
    const skip = (why: string) => disk.skip({ path: path.join('/'), what: name, why })
    if (XATTRS_REFUSED.test(name)) skip('it belongs to the host, not to an image')
    else if (!isPlainText(at)) skip('the name of the file is not UTF-8')
    else {
      const options = { timeout: TOOL_MS_MAX }
      const set = run('setfattr', ['-h', '-n', name, '-v', `0x${value.toString('hex')}`, at], options)
      await set.catch((error: unknown) => skip(whyOf(error)))
    }
  }
}
