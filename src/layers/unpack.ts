// Assembles the layers of an image into a root file system.
import {
  type Disk,
  finishFolder,
  makeFile,
  makeFolder,
  makeLink,
  makeSpecial,
  makeSymlink,
  removePath,
  SKIPPED_LISTED_MAX,
  type Skipped,
} from '#layers/disk.ts'
import { LayerBudget, type LayerLimits } from '#layers/limits.ts'
import { fillNewFolder } from '#layers/new-folder.ts'
import { type LayerSource, readLayer } from '#layers/read.ts'
import type { LayerEntry } from '#layers/tar.ts'
import { type Change, ImageTree, type TreeNode } from '#layers/tree.ts'

export interface UnpackOptions {
  /** From the lowest layer up, as in the manifest. */
  readonly layers: readonly LayerSource[]
  /** The folder to make; absent or empty before. */
  readonly into: string
  /**
   * True: owners and device nodes as the image says, for which the process must be root. False: everything belongs to
   * us, and device nodes are skipped. Default: whether the process is root.
   */
  readonly asRoot?: boolean
  readonly limits?: Partial<LayerLimits>
  readonly signal?: AbortSignal
  /** Told of compressed bytes as they are taken, with the index of their layer. */
  readonly onBytes?: (layer: number, bytes: number) => void
}

export interface UnpackReport {
  readonly layers: number
  /** Entries of all layers, folders made for them included. */
  readonly entries: number
  /** Bytes of all files of all layers. */
  readonly bytes: number
  /** What the system did not let us make, at most SKIPPED_LISTED_MAX of skippedCount. */
  readonly skipped: readonly Skipped[]
  readonly skippedCount: number
}

/**
 * Applies the layers in order: whiteouts, links, modes, times, and where the system allows owners, device nodes and
 * extended attributes. Times are exact to a microsecond. Nothing is written outside `into`, which appears only when
 * all layers have the DiffIDs that were promised. Source: image-spec layer.md.
 * @throws LayerError
 */
export async function unpackImage(options: UnpackOptions): Promise<UnpackReport> {
  return fillNewFolder(options.into, async (folder) => (await unpackInto(folder, options)).report)
}

/** The same into an empty folder that only we may enter; what is left there after a failure is the caller's. */
export async function unpackInto(
  folder: string,
  options: Omit<UnpackOptions, 'into'>,
): Promise<{ readonly report: UnpackReport; readonly tree: ImageTree }> {
  const budget = new LayerBudget(options.limits)
  const tree = new ImageTree(budget)
  const skipped: Skipped[] = []
  let skippedCount = 0
  const disk: Disk = {
    root: folder,
    asRoot: options.asRoot ?? process.getuid?.() === 0,
    skip: (what) => {
      skippedCount += 1
      if (skipped.length < SKIPPED_LISTED_MAX) skipped.push(what)
    },
  }
  const { signal, onBytes } = options
  for (const [index, layer] of options.layers.entries()) {
    tree.beginLayer()
    const entries = readLayer(layer, {
      budget,
      ...(signal && { signal }),
      ...(onBytes && { onBytes: (bytes: number) => onBytes(index, bytes) }),
    })
    for await (const entry of entries) {
      const change = tree.apply(entry)
      await make(disk, change, entry)
    }
  }
  await finish(disk, [], tree.root, signal)
  const { entries, fileBytes } = budget
  const report = { layers: options.layers.length, entries, bytes: fileBytes, skipped, skippedCount }
  return { report, tree }
}

async function make(disk: Disk, change: Change, entry: LayerEntry): Promise<void> {
  for (const path of change.made) await makeFolder(disk, path)
  for (const path of change.removed) await removePath(disk, path)
  if (change.create === undefined) return
  const { path, node, linkOf } = change.create
  const { inode } = node
  if (linkOf) {
    if (inode.skipped) disk.skip({ path: path.join('/'), what: 'link', why: 'its target was skipped' })
    else await makeLink(disk, path, linkOf)
  } else if (inode.kind === 'file') await makeFile(disk, path, inode, entry.content)
  else if (inode.kind === 'symlink') await makeSymlink(disk, path, inode)
  else if (inode.kind !== 'folder') await makeSpecial(disk, path, inode)
  else if (!change.create.standing) await makeFolder(disk, path)
}

async function finish(disk: Disk, path: string[], node: TreeNode, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  for (const [name, child] of node.children ?? [])
    if (child.children) await finish(disk, [...path, name], child, signal)
  await finishFolder(disk, path, node.inode)
}
