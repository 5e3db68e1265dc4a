// The root file system of an image as names and attributes, grown layer by layer. Unpacking follows it on disk,
// comparing looks at it alone. It decides where a name leads, so that no file system has to be asked: a symlink is
// followed inside the root only, and "/" or ".." in its target mean the root at most.
import { checkDepth, checkName, type PathParts, parseEntryPath, parseWhiteout } from '#layers/entry-path.ts'
import { LayerError, printable } from '#layers/layer-error.ts'
import type { LayerBudget } from '#layers/limits.ts'
import type { EntryKind, LayerEntry } from '#layers/tar.ts'

/** As Linux has it (MAXSYMLINKS): more on one path is a loop. */
const SYMLINKS_MAX = 40
/** Steps of one walk with all symlinks on it: forty targets of two thousand parts each are an attack. */
const WALK_STEPS_MAX = 4096

/** What a file is, shared by all its names. */
export interface Inode {
  readonly kind: Exclude<EntryKind, 'link'>
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly target: string
  /** 0 for all but device nodes. */
  readonly deviceMajor: number
  readonly deviceMinor: number
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** False for a folder that stands in no layer, only on the way to a file. */
  readonly stated: boolean
  /** Of a file's content, where somebody computed it. */
  digest?: string
  /** Set when the file could not be made on disk. */
  skipped?: boolean
}

export interface TreeNode {
  inode: Inode
  /** The layer that last wrote it or something below it. */
  layer: number
  /** Of a folder only. */
  children?: Map<string, TreeNode>
  /** The layer that last hid everything below it in lower layers: doing it again would find nothing. */
  clearedIn?: number
}

/** What one entry does to a file system that stands where the tree stood before it. Do it in the order of the fields. */
export interface Change {
  /** Folders to make, from the top. */
  readonly made: readonly PathParts[]
  /** Files and whole folders to remove. */
  readonly removed: readonly PathParts[]
  readonly create?: {
    readonly path: PathParts
    readonly node: TreeNode
    /** Of a hard link: the name that is there already. */
    readonly linkOf?: PathParts
    /** True for a folder that is there already: only its attributes changed. */
    readonly standing?: true
  }
}

const UNSTATED: Inode = {
  kind: 'folder',
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  target: '',
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: new Map(),
  stated: false,
}

interface Place {
  readonly path: string[]
  readonly nodes: TreeNode[]
}

export class ImageTree {
  readonly root: TreeNode = { inode: UNSTATED, layer: 0, children: new Map() }
  readonly #budget: LayerBudget
  #layer = 0

  constructor(budget: LayerBudget) {
    this.#budget = budget
  }

  /** What comes now is above what came: whiteouts hide only what came before. */
  beginLayer(): void {
    this.#layer += 1
  }

  /** A tree of its own that starts as this one is. Inodes are shared: they do not change. */
  fork(budget: LayerBudget): ImageTree {
    const copy = new ImageTree(budget)
    const copyNode = (from: TreeNode): TreeNode => {
      const node: TreeNode = { inode: from.inode, layer: from.layer }
      if (from.children)
        node.children = new Map(from.children.entries().map(([name, child]) => [name, copyNode(child)]))
      return node
    }
    const { inode, children } = copyNode(this.root)
    copy.root.inode = inode
    copy.root.children = children ?? new Map()
    copy.#layer = this.#layer
    return copy
  }

  /** @throws LayerError PATH_REFUSED, ARCHIVE_BROKEN, LIMIT_PASSED */
  apply(entry: LayerEntry): Change {
    const limits = this.#budget.limits
    const path = parseEntryPath(entry.name, limits)
    if (entry.kind === 'symlink') {
      checkName(entry.linkName, limits)
      if (entry.linkName === '')
        throw new LayerError('PATH_REFUSED', `the symlink ${printable(entry.name)} has no target`)
    }
    let held = entry.linkName.length + (path.at(-1)?.length ?? 0)
    for (const [name, value] of entry.xattrs) held += name.length + value.length
    this.#budget.addEntry(held)
    const whiteout = parseWhiteout(path)
    if (whiteout === 'ignored') return { made: [], removed: [] }
    if (whiteout !== undefined) return this.#hide(path, whiteout === 'opaque' ? undefined : whiteout.hides)
    const name = path.at(-1)
    if (name === undefined) return this.#applyRoot(entry)
    const parents = path.slice(0, -1)
    return entry.kind === 'link'
      ? this.#applyLink(entry, parents, name)
      : this.#applyFile(inodeOf(entry, entry.kind), parents, name)
  }

  /** What a path leads to, symlinks followed; undefined when that is nothing, or a folder. */
  fileAt(parts: PathParts): { readonly path: PathParts; readonly inode: Inode } | undefined {
    let wanted: readonly string[] = parts
    for (let symlinks = 0; symlinks <= SYMLINKS_MAX; symlinks += 1) {
      const name = wanted.at(-1)
      const place = this.#find(wanted.slice(0, -1))
      const node = name === undefined ? undefined : place && childrenOf(place).get(name)
      if (place === undefined || name === undefined || node === undefined || node.children) return undefined
      const { inode } = node
      if (inode.kind !== 'symlink') return { path: [...place.path, name], inode }
      const start = inode.target.startsWith('/') ? [] : place.path
      wanted = [...start, ...inode.target.split('/').filter((part) => part !== '' && part !== '.')]
    }
    return undefined
  }

  #applyRoot(entry: LayerEntry): Change {
    if (entry.kind !== 'folder')
      throw new LayerError('PATH_REFUSED', 'the layer would replace the root folder by something else')
    this.root.inode = inodeOf(entry, 'folder')
    this.root.layer = this.#layer
    return { made: [], removed: [], create: { path: [], node: this.root, standing: true } }
  }

  #applyFile(inode: Inode, parents: PathParts, name: string): Change {
    const made: PathParts[] = []
    const { path, folder } = this.#spot(parents, name, made)
    const existing = folder.get(name)
    if (existing?.children && inode.kind === 'folder') {
      existing.inode = inode
      existing.layer = this.#layer
      return { made, removed: [], create: { path, node: existing, standing: true } }
    }
    const node: TreeNode = { inode, layer: this.#layer }
    if (inode.kind === 'folder') node.children = new Map()
    folder.set(name, node)
    return { made, removed: existing ? [path] : [], create: { path, node } }
  }

  #applyLink(entry: LayerEntry, parents: PathParts, name: string): Change {
    const target = parseEntryPath(entry.linkName, this.#budget.limits)
    const targetName = target.at(-1)
    const targetPlace = this.#find(target.slice(0, -1))
    // The last part is not followed: a hard link to a symlink is another name of the symlink.
    const source =
      targetName === undefined ? undefined : targetPlace && childrenOf(targetPlace).get(targetName)
    if (targetPlace === undefined || targetName === undefined || source === undefined)
      throw linkError(entry, 'has no target in the image')
    if (source.children) throw linkError(entry, 'points to a folder')
    const linkOf = [...targetPlace.path, targetName]
    const made: PathParts[] = []
    const { path, folder } = this.#spot(parents, name, made)
    const existing = folder.get(name)
    // Already another name of the same file, or itself: removing it first could remove the target.
    if (existing?.inode === source.inode) {
      existing.layer = this.#layer
      return { made, removed: [] }
    }
    if (existing?.children && linkOf.slice(0, path.length).every((part, at) => part === path[at]))
      throw linkError(entry, 'replaces the folder of its target')
    const node: TreeNode = { inode: source.inode, layer: this.#layer }
    folder.set(name, node)
    return { made, removed: existing ? [path] : [], create: { path, node, linkOf } }
  }

  /** Removes what lower layers have under that name of the folder, or in the whole folder. */
  #hide(path: PathParts, name: string | undefined): Change {
    const place = this.#find(path.slice(0, -1))
    if (place === undefined) return { made: [], removed: [] }
    for (const node of place.nodes) node.layer = this.#layer
    const removed: PathParts[] = []
    const folder = childrenOf(place)
    const hide = (children: Map<string, TreeNode>, childName: string, child: TreeNode, at: string[]) => {
      const childPath = [...at, childName]
      if (child.layer !== this.#layer) {
        children.delete(childName)
        removed.push(childPath)
      } else clear(child, childPath)
    }
    const clear = (node: TreeNode | undefined, at: string[]) => {
      if (node?.children === undefined || node.clearedIn === this.#layer) return
      node.clearedIn = this.#layer
      for (const [childName, child] of node.children) hide(node.children, childName, child, at)
    }
    if (name === undefined) clear(place.nodes.at(-1), place.path)
    else {
      const child = folder.get(name)
      if (child) hide(folder, name, child, place.path)
    }
    return { made: [], removed }
  }

  /** Where a folder's name leads; undefined when it leads nowhere. */
  #find(parts: PathParts): Place | undefined {
    return this.#walk(parts, undefined)
  }

  /** Where an entry goes: makes the folders on the way, and marks the way as written by this layer. */
  #spot(
    parents: PathParts,
    name: string,
    made: PathParts[],
  ): { path: PathParts; folder: Map<string, TreeNode> } {
    const place = this.#walk(parents, made)
    if (place === undefined) throw new Error('a walk that makes folders always arrives')
    for (const node of place.nodes) node.layer = this.#layer
    const path = [...place.path, name]
    checkDepth(path.length, path.join('/'), this.#budget.limits)
    return { path, folder: childrenOf(place) }
  }

  #walk(parts: PathParts, made: PathParts[] | undefined): Place | undefined {
    const path: string[] = []
    const nodes: TreeNode[] = [this.root]
    const pending = parts.toReversed()
    let symlinks = 0
    let steps = 0
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      steps += 1
      if (symlinks > SYMLINKS_MAX || steps > WALK_STEPS_MAX)
        throw new LayerError('PATH_REFUSED', `the path ${printable(parts.join('/'))} is a loop of symlinks`)
      if (part === '' || part === '.') continue
      if (part === '..') {
        if (path.pop() !== undefined) nodes.pop()
        continue
      }
      const children = nodes.at(-1)?.children
      let child = children?.get(part)
      if (child?.inode.kind === 'symlink') {
        symlinks += 1
        const { target } = child.inode
        if (target.startsWith('/')) {
          path.length = 0
          nodes.length = 1
        }
        pending.push(...target.split('/').toReversed())
        continue
      }
      if (child && !child.children) {
        if (made === undefined) return undefined
        throw new LayerError(
          'PATH_REFUSED',
          `${printable([...path, part].join('/'))} is used as a folder, but is none`,
        )
      }
      if (child === undefined) {
        if (made === undefined) return undefined
        checkDepth(path.length + 2, parts.join('/'), this.#budget.limits)
        this.#budget.addEntry(part.length)
        child = { inode: UNSTATED, layer: this.#layer, children: new Map() }
        children?.set(part, child)
        made.push([...path, part])
      }
      path.push(part)
      nodes.push(child)
    }
    return { path, nodes }
  }
}

function childrenOf(place: Place): Map<string, TreeNode> {
  const children = place.nodes.at(-1)?.children
  if (children === undefined) throw new Error('a place is a folder')
  return children
}

function linkError(entry: LayerEntry, why: string): LayerError {
  const name = printable(entry.name)
  const target = printable(entry.linkName)
  return new LayerError('ARCHIVE_BROKEN', `the hard link ${name} to ${target} ${why}`, {
    detail: { name, target },
  })
}

function inodeOf(entry: LayerEntry, kind: Inode['kind']): Inode {
  const { mode, uid, gid, size, mtime, xattrs } = entry
  const isDevice = kind === 'character-device' || kind === 'block-device'
  const deviceMajor = isDevice ? entry.deviceMajor : 0
  const deviceMinor = isDevice ? entry.deviceMinor : 0
  const target = kind === 'symlink' ? entry.linkName : ''
  return { kind, mode, uid, gid, size, mtime, target, deviceMajor, deviceMinor, xattrs, stated: true }
}
