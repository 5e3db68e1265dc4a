// Fills a folder beside its destination and renames it there when it is whole: a run that fails or dies leaves nothing
// under the name that was asked for.
import { chmod, mkdir, mkdtemp, readdir, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { LayerError } from '#layers/layer-error.ts'

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

function occupied(into: string, cause?: unknown): LayerError {
  return new LayerError(
    'DESTINATION_OCCUPIED',
    `${into} is not an empty folder: choose another or empty it`,
    {
      detail: { into },
      cause,
    },
  )
}

async function emptyOrAbsent(into: string): Promise<string> {
  try {
    const real = await realpath(into)
    if ((await readdir(real)).length > 0) throw occupied(into)
    return real
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return join(await realpath(dirname(into)), basename(into))
    if (codeOf(error) === 'ENOTDIR') throw occupied(into, error)
    throw error
  }
}

/**
 * @param into absent or an empty folder; folders above it are made
 * @param fill gets a new folder of mode 0700, on the same file system
 * @throws LayerError DESTINATION_OCCUPIED
 */
export async function fillNewFolder<T>(into: string, fill: (folder: string) => Promise<T>): Promise<T> {
  const wanted = resolve(into)
  await mkdir(dirname(wanted), { recursive: true })
  const destination = await emptyOrAbsent(wanted)
  const folder = await mkdtemp(`${destination}.unpacking-`)
  try {
    const result = await fill(folder)
    await rename(folder, destination)
    return result
  } catch (error) {
    // What went wrong first is what the caller has to know.
    await removeTree(folder).catch(() => {})
    const code = codeOf(error)
    if (code === 'ENOTEMPTY' || code === 'EEXIST') throw occupied(into, error)
    throw error
  }
}

/** Removes folders, too, whose mode keeps their owner out. Symlinks are removed, not followed; absent is fine. */
export async function removeTree(folder: string): Promise<void> {
  // First, not after a failure: rm gives up while other removals of it still run.
  await openUp(Buffer.from(folder))
  await rm(folder, { recursive: true, force: true })
}

async function openUp(folder: Buffer): Promise<void> {
  try {
    await chmod(folder, 0o700)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  for (const child of await readdir(folder, { withFileTypes: true, encoding: 'buffer' }))
    if (child.isDirectory()) await openUp(Buffer.concat([folder, Buffer.from('/'), child.name]))
}
