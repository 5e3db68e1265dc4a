// What differs between two images: layers, files, sizes. Holds names and attributes; contents pass through a hash.
import { createHash } from 'node:crypto'
import { LayerBudget, type LayerLimits } from '#layers/limits.ts'
import { type LayerSource, readLayer } from '#layers/read.ts'
import type { LayerEntry } from '#layers/tar.ts'
import { ImageTree, type Inode, type TreeNode } from '#layers/tree.ts'
import type { Digest } from '#oci/digest.ts'

export interface CompareOptions {
  /** From the lowest layer up. Layers that both images begin with are read once. */
  readonly left: readonly LayerSource[]
  readonly right: readonly LayerSource[]
  /** For each of the images. */
  readonly limits?: Partial<LayerLimits>
  /** True to call a file changed of which only the time differs. Default false: a rebuild changes all times. */
  readonly times?: boolean
  readonly signal?: AbortSignal
}

export type Aspect =
  | 'kind'
  | 'mode'
  | 'owner'
  | 'size'
  | 'content'
  | 'target'
  | 'device'
  | 'attributes'
  | 'time'

export interface FileFacts {
  readonly kind: Inode['kind']
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes. */
  readonly size: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** sha256 of the content, of a file only. */
  readonly digest?: string
  /** Of a symlink only. */
  readonly target?: string
}

export type FileChange =
  | { readonly what: 'added'; readonly path: string; readonly right: FileFacts }
  | { readonly what: 'removed'; readonly path: string; readonly left: FileFacts }
  | {
      readonly what: 'changed'
      readonly path: string
      readonly left: FileFacts
      readonly right: FileFacts
      readonly aspects: readonly Aspect[]
    }

export interface SideTotals {
  readonly layers: number
  /** Names in the root file system, folders included. */
  readonly names: number
  /** Bytes of all files in the root file system, a file with several names once. */
  readonly bytes: number
}

export interface ImageComparison {
  /** DiffIDs: those that both images have, and those of one alone, each in order. */
  readonly layers: {
    readonly shared: readonly Digest[]
    readonly leftOnly: readonly Digest[]
    readonly rightOnly: readonly Digest[]
  }
  readonly left: SideTotals
  readonly right: SideTotals
  readonly totals: {
    readonly added: number
    readonly removed: number
    readonly changed: number
    readonly unchanged: number
    /** Bytes of files that were added, and of those that were removed. */
    readonly addedBytes: number
    readonly removedBytes: number
    /** Of changed files: their bytes on the right less those on the left. */
    readonly changedBytes: number
  }
  /** Every difference, sorted by path within each folder; may be walked more than once. */
  changes(): Iterable<FileChange>
}

/** @throws LayerError as readLayer does, and PATH_REFUSED */
export async function compareImages(options: CompareOptions): Promise<ImageComparison> {
  const { left, right, times = false } = options
  const common = commonStart(left, right)
  const base = new LayerBudget(options.limits)
  const leftTree = new ImageTree(base)
  await grow(leftTree, base, left.slice(0, common), options.signal)
  const rightBudget = base.fork()
  const rightTree = leftTree.fork(rightBudget)
  await grow(leftTree, base, left.slice(common), options.signal)
  await grow(rightTree, rightBudget, right.slice(common), options.signal)
  const changes = () => differences(leftTree.root, rightTree.root, times)
  const totals = count(changes())
  const rightSide = sideTotals(rightTree, right.length)
  const { added, changed } = totals
  return {
    layers: layerSets(left, right),
    left: sideTotals(leftTree, left.length),
    right: rightSide,
    totals: { ...totals, unchanged: rightSide.names - added - changed },
    changes,
  }
}

function commonStart(left: readonly LayerSource[], right: readonly LayerSource[]): number {
  const differing = left.findIndex((layer, index) => layer.diffId !== right[index]?.diffId)
  return differing === -1 ? left.length : differing
}

function layerSets(left: readonly LayerSource[], right: readonly LayerSource[]): ImageComparison['layers'] {
  const lefts = left.map((layer) => layer.diffId)
  const rights = right.map((layer) => layer.diffId)
  return {
    shared: lefts.filter((diffId) => rights.includes(diffId)),
    leftOnly: lefts.filter((diffId) => !rights.includes(diffId)),
    rightOnly: rights.filter((diffId) => !lefts.includes(diffId)),
  }
}

async function grow(
  tree: ImageTree,
  budget: LayerBudget,
  layers: readonly LayerSource[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const layer of layers) {
    tree.beginLayer()
    for await (const entry of readLayer(layer, { budget, ...(signal && { signal }) })) {
      const { create } = tree.apply(entry)
      if (create && entry.kind === 'file') create.node.inode.digest = await digestOfContent(entry)
    }
  }
}

async function digestOfContent(entry: LayerEntry): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of entry.content) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

function sideTotals(tree: ImageTree, layers: number): SideTotals {
  const seen = new Set<Inode>()
  let names = 0
  let bytes = 0
  const visit = (node: TreeNode) => {
    for (const child of node.children?.values() ?? []) {
      names += 1
      if (!seen.has(child.inode)) bytes += child.inode.size
      seen.add(child.inode)
      visit(child)
    }
  }
  visit(tree.root)
  return { layers, names, bytes }
}

function count(changes: Iterable<FileChange>): Omit<ImageComparison['totals'], 'unchanged'> {
  const totals = { added: 0, removed: 0, changed: 0, addedBytes: 0, removedBytes: 0, changedBytes: 0 }
  for (const change of changes) {
    totals[change.what] += 1
    if (change.what === 'added') totals.addedBytes += change.right.size
    else if (change.what === 'removed') totals.removedBytes += change.left.size
    else totals.changedBytes += change.right.size - change.left.size
  }
  return totals
}

/** Walks both trees side by side, each folder before what is in it. */
function* differences(
  left: TreeNode | undefined,
  right: TreeNode | undefined,
  times: boolean,
  folder = '',
): Generator<FileChange> {
  const leftNames = left?.children
  const rightNames = right?.children
  const names = new Set([...(leftNames?.keys() ?? []), ...(rightNames?.keys() ?? [])])
  for (const name of [...names].sort()) {
    const path = folder === '' ? name : `${folder}/${name}`
    const before = leftNames?.get(name)
    const after = rightNames?.get(name)
    if (before && after) {
      const aspects = aspectsOf(before.inode, after.inode, times)
      if (aspects.length > 0)
        yield { what: 'changed', path, left: factsOf(before.inode), right: factsOf(after.inode), aspects }
    } else if (after) yield { what: 'added', path, right: factsOf(after.inode) }
    else if (before) yield { what: 'removed', path, left: factsOf(before.inode) }
    yield* differences(before, after, times, path)
  }
}

function factsOf(inode: Inode): FileFacts {
  const { kind, mode, uid, gid, size, mtime, digest, target } = inode
  return {
    kind,
    mode,
    uid,
    gid,
    size,
    mtime,
    ...(digest !== undefined && { digest }),
    ...(kind === 'symlink' && { target }),
  }
}

function aspectsOf(left: Inode, right: Inode, times: boolean): Aspect[] {
  if (left === right) return []
  const differs: Record<Aspect, boolean> = {
    kind: left.kind !== right.kind,
    // The mode of a symlink means nothing.
    mode: left.mode !== right.mode && left.kind !== 'symlink',
    owner: left.uid !== right.uid || left.gid !== right.gid,
    size: left.size !== right.size,
    content: left.digest !== right.digest,
    target: left.target !== right.target,
    device: left.deviceMajor !== right.deviceMajor || left.deviceMinor !== right.deviceMinor,
    attributes: !sameAttributes(left.xattrs, right.xattrs),
    time: times && left.mtime !== right.mtime,
  }
  return (Object.keys(differs) as Aspect[]).filter((aspect) => differs[aspect])
}

function sameAttributes(left: ReadonlyMap<string, Buffer>, right: ReadonlyMap<string, Buffer>): boolean {
  if (left.size !== right.size) return false
  return left.entries().every(([name, value]) => right.get(name)?.equals(value) ?? false)
}
