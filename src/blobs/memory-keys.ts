// Link files in memory, as a tree of folders.
import { checkKeyPath, keyBytes } from '#blobs/key-path.ts'
import type { Batching, Durable, KeyChange, KeyEntry, KeyStore, Linked, Scanning } from '#blobs/keys.ts'
import type { MemoryBudget } from '#blobs/memory-budget.ts'

interface Key {
  readonly text: string
  /** Counted against the budget: text and name. */
  readonly bytes: number
  readonly modifiedAt: number
}

type Folder = Map<string, Node>
type Node = Key | Folder

export class MemoryKeys implements KeyStore, Batching, Durable, Linked, Scanning {
  readonly #budget: MemoryBudget
  readonly #now: () => number
  readonly #root: Folder = new Map()

  /** now gives milliseconds since 1970. */
  constructor(budget: MemoryBudget, now: () => number) {
    this.#budget = budget
    this.#now = now
  }

  async get(path: string): Promise<string | undefined> {
    return this.#key(path)?.text
  }

  async put(path: string, text: string): Promise<void> {
    const parts = checkKeyPath(path).split('/')
    const name = parts.pop() ?? ''
    const bytes = keyBytes(text).length + Buffer.byteLength(path)
    const before = this.#find(path)
    if (before instanceof Map) throw new Error(`a folder is in the way: ${path}`)
    this.#budget.take(bytes)
    try {
      this.#folder(parts).set(name, { text, bytes, modifiedAt: this.#now() })
    } catch (error) {
      this.#budget.give(bytes)
      throw error
    }
    if (before) this.#budget.give(before.bytes)
  }

  async remove(path: string): Promise<void> {
    const node = this.#find(path)
    if (!node) return
    this.#budget.give(bytesOf(node))
    const cut = path.lastIndexOf('/')
    const above = cut < 0 ? this.#root : this.#find(path.slice(0, cut))
    if (above instanceof Map) above.delete(path.slice(cut + 1))
  }

  async apply(changes: readonly KeyChange[]): Promise<void> {
    for (const { path, text } of changes)
      await (text === undefined ? this.remove(path) : this.put(path, text))
  }

  async sync(path: string): Promise<void> {
    if (!this.#key(path)) throw new Error(`there is nothing to make durable: ${path}`)
  }

  async close(): Promise<void> {}

  async *list(path: string): AsyncGenerator<KeyEntry> {
    const folder = this.#find(path)
    if (!(folder instanceof Map)) return
    for (const [name, node] of folder) yield { name, directory: node instanceof Map }
  }

  async *scan(folder: string): AsyncGenerator<{ readonly path: string; readonly size: number }> {
    const node = this.#find(folder)
    if (node instanceof Map) yield* filesBelow(folder, node)
  }

  async modifiedAt(path: string): Promise<number | undefined> {
    return this.#key(path)?.modifiedAt
  }

  async real(path: string): Promise<string | undefined> {
    return this.#find(path) instanceof Map ? path : undefined
  }

  #key(path: string): Key | undefined {
    const node = this.#find(path)
    return node instanceof Map ? undefined : node
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const part of checkKeyPath(path).split('/')) node = node instanceof Map ? node.get(part) : undefined
    return node
  }

  #folder(parts: readonly string[]): Folder {
    let folder = this.#root
    for (const part of parts) {
      const node = folder.get(part) ?? new Map<string, Node>()
      if (!(node instanceof Map)) throw new Error(`a file is in the way: ${parts.join('/')}`)
      folder.set(part, node)
      folder = node
    }
    return folder
  }
}

function* filesBelow(path: string, folder: Folder): Generator<{ path: string; size: number }> {
  for (const [name, node] of [...folder].sort(([one], [other]) => (one < other ? -1 : 1))) {
    if (node instanceof Map) yield* filesBelow(`${path}/${name}`, node)
    else yield { path: `${path}/${name}`, size: Buffer.byteLength(node.text) }
  }
}

function bytesOf(node: Node): number {
  if (!(node instanceof Map)) return node.bytes
  let bytes = 0
  for (const child of node.values()) bytes += bytesOf(child)
  return bytes
}
