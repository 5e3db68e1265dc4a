// The link files of one repository as one scan found them. A link whose text its own path tells is not read: only tags are.
import type { KeyEntry, KeyStore, Scanning } from '#blobs/keys.ts'
import { layersFolder, manifestsFolder } from '#blobs/layout.ts'
import { isDigest } from '#oci/digest.ts'
import type { RepositoryName } from '#oci/reference.ts'

/** Paths of one repository that are kept in memory; one that has more is listed folder by folder. */
const PATHS_MAX = 200_000
const SHA256_LINK = /\/sha256\/([0-9a-f]{64})\/link$/
/** `sha256:` and 64 digits. */
const SHA256_LINK_BYTES = 71

export class ScannedLinks implements Pick<KeyStore, 'get' | 'list'> {
  readonly #keys: KeyStore
  readonly #folders: readonly string[]
  /** Bytes by path. */
  readonly #sizes: ReadonlyMap<string, number>
  /** Names and whether they are folders, by folder. */
  readonly #children: ReadonlyMap<string, ReadonlyMap<string, boolean>>

  private constructor(
    keys: KeyStore,
    folders: readonly string[],
    sizes: ReadonlyMap<string, number>,
    children: ReadonlyMap<string, ReadonlyMap<string, boolean>>,
  ) {
    this.#keys = keys
    this.#folders = folders
    this.#sizes = sizes
    this.#children = children
  }

  /** Undefined when there are too many. @throws the reason of the signal */
  static async read(
    keys: KeyStore & Scanning,
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<ScannedLinks | undefined> {
    const folders = [layersFolder(repository), manifestsFolder(repository)]
    const sizes = new Map<string, number>()
    const children = new Map<string, Map<string, boolean>>()
    for (const folder of folders) {
      for await (const { path, size } of keys.scan(folder)) {
        signal.throwIfAborted()
        if (sizes.size === PATHS_MAX) return undefined
        sizes.set(path, size)
        addParents(children, folder, path)
      }
    }
    return new ScannedLinks(keys, folders, sizes, children)
  }

  async get(path: string): Promise<string | undefined> {
    if (!this.#folders.some((folder) => path.startsWith(`${folder}/`))) return this.#keys.get(path)
    const size = this.#sizes.get(path)
    if (size === undefined) return undefined
    const own = size === SHA256_LINK_BYTES && !path.includes('/tags/') ? SHA256_LINK.exec(path) : null
    const digest = own && `sha256:${own[1]}`
    return digest !== null && isDigest(digest) ? digest : this.#keys.get(path)
  }

  async *list(path: string): AsyncGenerator<KeyEntry> {
    for (const [name, directory] of this.#children.get(path) ?? []) yield { name, directory }
  }
}

/** Enters a path into the folder that holds it, and each folder into the one above, up to `top`. */
function addParents(children: Map<string, Map<string, boolean>>, top: string, path: string): void {
  let directory = false
  for (let below = path; below.length > top.length; directory = true) {
    const cut = below.lastIndexOf('/')
    const [folder, name] = [below.slice(0, cut), below.slice(cut + 1)]
    const names = children.get(folder) ?? new Map<string, boolean>()
    children.set(folder, names)
    if (names.has(name)) return
    names.set(name, directory)
    below = folder
  }
}
