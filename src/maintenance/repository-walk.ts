// Finds the repositories of a tree: every folder that holds links. Symbolic links to folders are followed, as registry:2
// does, which serves and lists what lies behind them; one that leads back to where it is reached from is not.
import type { KeyStore, Linked } from '#blobs/keys.ts'
import { REPOSITORIES_FOLDER } from '#blobs/layout.ts'

/** A name has at most 255 characters, so at most this many components. */
const NAME_DEPTH_MAX = 128
/** Links that lead across each other multiply: so many ways to one folder are gone. */
const WAYS_MAX = 16
/** A link may lead anywhere: of what lies behind links so many folders are looked at. */
const LINKED_FOLDERS_MAX = 100_000

export interface FoundFolder {
  /** As it would be called; need not be a repository's name. */
  readonly name: string
  readonly layers: boolean
  readonly manifests: boolean
}

export interface WalkListener {
  /** Ends the walk with its reason. */
  readonly signal?: AbortSignal
  /** A part of the tree was left out. */
  onUnread(path: string, error: unknown): void
  /** A link leads back: nothing new lies behind it. */
  onLoop(path: string): void
}

interface Folder {
  readonly name: string
  readonly parent: Folder | undefined
  readonly depth: number
  /** Where it really is; left out where that follows from its parent. */
  readonly real?: string
  readonly linked: boolean
}

/** Folders that hold `_layers` or `_manifests`, each before those below it, in the order of their names. */
export async function* repositoryFolders(
  keys: KeyStore & Linked,
  listener: WalkListener,
): AsyncGenerator<FoundFolder> {
  const real = await keys.real(REPOSITORIES_FOLDER)
  if (real === undefined) return
  const links = new LinksFollowed(keys, listener)
  const waiting: Folder[] = [{ name: '', parent: undefined, depth: 0, real, linked: false }]
  for (let folder = waiting.pop(); folder; folder = waiting.pop()) {
    listener.signal?.throwIfAborted()
    if (folder.linked && !links.mayEnter(folder)) continue
    const below: Folder[] = []
    const holds = { layers: false, manifests: false }
    try {
      for await (const { name, directory, link } of keys.list(pathOf(folder))) {
        if (name === '_manifests') holds.manifests = true
        else if (name === '_layers') holds.layers = true
        else if (directory && !name.startsWith('_') && folder.depth < NAME_DEPTH_MAX) {
          const child = { name, parent: folder, depth: folder.depth + 1, linked: folder.linked }
          const target = link ? await links.target(child) : undefined
          if (!link) below.push(child)
          else if (target !== undefined) below.push({ ...child, real: target, linked: true })
        }
      }
    } catch (error) {
      listener.onUnread(pathOf(folder), error)
    }
    if (holds.layers || holds.manifests) yield { name: nameOf(folder), ...holds }
    waiting.push(...below.sort((one, other) => (one.name < other.name ? 1 : -1)))
  }
}

/** What keeps the walk finite: a folder behind a link is a folder that may be met again. */
class LinksFollowed {
  readonly #keys: Linked
  readonly #listener: WalkListener
  readonly #ways = new Map<string, number>()
  #folders = 0

  constructor(keys: Linked, listener: WalkListener) {
    this.#keys = keys
    this.#listener = listener
  }

  /** Where a link leads, when something new may lie there. */
  async target(link: Folder): Promise<string | undefined> {
    const real = await this.#keys.real(pathOf(link))
    if (real === undefined) return undefined
    for (let above = link.parent; above; above = above.parent) {
      if (realOf(above) !== real) continue
      this.#listener.onLoop(pathOf(link))
      return undefined
    }
    const ways = (this.#ways.get(real) ?? 0) + 1
    this.#ways.set(real, ways)
    if (ways <= WAYS_MAX) return real
    if (ways === WAYS_MAX + 1) {
      this.#listener.onUnread(pathOf(link), new Error(`more than ${WAYS_MAX} symbolic links lead to ${real}`))
    }
    return undefined
  }

  /** Counts a folder behind a link. */
  mayEnter(folder: Folder): boolean {
    this.#folders += 1
    if (this.#folders === LINKED_FOLDERS_MAX + 1) {
      const why = `more than ${LINKED_FOLDERS_MAX} folders lie behind symbolic links`
      this.#listener.onUnread(pathOf(folder), new Error(why))
    }
    return this.#folders <= LINKED_FOLDERS_MAX
  }
}

function nameOf({ name, parent }: Folder): string {
  const above = parent ? nameOf(parent) : ''
  return above === '' ? name : `${above}/${name}`
}

function pathOf(folder: Folder): string {
  const name = nameOf(folder)
  return name === '' ? REPOSITORIES_FOLDER : `${REPOSITORIES_FOLDER}/${name}`
}

function realOf({ name, parent, real }: Folder): string {
  return real ?? `${parent ? realOf(parent) : ''}/${name}`
}
