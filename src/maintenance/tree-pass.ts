// After a start: a pass over the whole tree of link files, which another program may have written to since our last stop.
// Until it has passed a repository every answer about it is checked on disk, one item at a time; so a tree that registry:2
// wrote is served at once and completely, while it is still being read.
import { availableParallelism } from 'node:os'
import type { KeyStore } from '#blobs/keys.ts'
import { layersFolder, REPOSITORIES_FOLDER, revisionsFolder, tagsFolder } from '#blobs/layout.ts'
import { allBlobs, allManifests, allRepositories, allTags } from '#db/tree.ts'
import { type TreeItemOptions, TreeItems } from '#maintenance/tree-items.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { isRepositoryName, isTag, type Reference, type RepositoryName, type Tag } from '#oci/reference.ts'
import type { Upstream } from '#registry/upstream.ts'
import type { Log } from '#telemetry/log.ts'

const ITEMS_AT_ONCE = 8 * availableParallelism()
const WARNINGS_MAX = 100
const PROGRESS_MS = 10_000
/** A name has at most 255 characters, so at most this many components. */
const NAME_DEPTH_MAX = 128

export interface TreePassOptions extends Omit<TreeItemOptions, 'onBroken'> {
  readonly log: Log
}

export class TreePass implements Upstream {
  readonly name = 'tree'
  readonly #options: TreePassOptions
  readonly #items: TreeItems
  readonly #passed = new Set<RepositoryName>()
  readonly #passing = new Map<RepositoryName, Promise<void>>()
  readonly #abort = new AbortController()
  #names: Promise<readonly RepositoryName[]> | undefined
  /** Paths that were warned of: a client may ask for the same thing many times. */
  readonly #warned = new Set<string>()
  readonly #failed = new Set<RepositoryName>()
  #done = false
  #broken = 0
  #unreadFolders = 0

  constructor(options: TreePassOptions) {
    this.#options = options
    this.#items = new TreeItems({ ...options, onBroken: (what, where) => this.#warn(what, where) })
  }

  get done(): boolean {
    return this.#done
  }

  wants(repository: RepositoryName): boolean {
    return !this.#done && !this.#passed.has(repository)
  }

  async manifest(repository: RepositoryName, reference: Reference): Promise<void> {
    if (reference.digest === undefined) await this.#items.taggedManifest(repository, reference.tag)
    else await this.#items.manifest(repository, reference.digest)
  }

  async blob(repository: RepositoryName, digest: Digest): Promise<void> {
    await this.#items.blob(repository, digest)
  }

  async tags(repository: RepositoryName): Promise<void> {
    await this.#passOnce(repository)
  }

  async repositories(): Promise<void> {
    if (this.#done) return
    for (const name of await this.#allNames()) await this.#tryPass(name)
  }

  /** The whole pass. Failures are logged: where they were, answers stay checked on disk. */
  async run(): Promise<void> {
    const start = performance.now()
    try {
      const { count, failed } = await this.#passAll(start)
      const seconds = Math.round((performance.now() - start) / 100) / 10
      const told = { repositories: count, seconds, broken: this.#broken, ...this.#items.counts }
      if (failed > 0 || this.#unreadFolders > 0) {
        const { log } = this.#options
        log.error('a part of the tree could not be read, and is checked on disk until the next start', {
          ...told,
          failed,
          folders: this.#unreadFolders,
        })
        return
      }
      this.#done = true
      this.#passed.clear()
      this.#names = undefined
      this.#options.log.info('the tree is read', told)
    } catch (error) {
      if (this.#abort.signal.aborted) return
      this.#options.log.error('reading the tree failed, and it is checked on disk until the next start', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
    }
  }

  /** Every repository of the tree, then those that only the facts know. */
  async #passAll(start: number): Promise<{ count: number; failed: number }> {
    const { log, db } = this.#options
    let told = start
    let count = 0
    let failed = 0
    const names = await this.#allNames()
    for (const name of names) {
      if (!(await this.#tryPass(name))) failed += 1
      count += 1
      if (performance.now() - told < PROGRESS_MS) continue
      told = performance.now()
      log.info('reading the tree', { repositories: count, of: names.length, ...this.#items.counts })
    }
    for await (const name of allRepositories(db)) {
      if (isRepositoryName(name) && !this.#failed.has(name) && !(await this.#tryPass(name))) failed += 1
    }
    return { count, failed }
  }

  /** False when it failed: one folder that cannot be read must not keep the rest from being taken over. */
  async #tryPass(repository: RepositoryName): Promise<boolean> {
    if (this.#failed.has(repository)) return false
    try {
      await this.#passOnce(repository)
      return true
    } catch (error) {
      this.#abort.signal.throwIfAborted()
      this.#failed.add(repository)
      this.#options.log.error('a repository of the tree could not be read', {
        repository,
        error: String(error),
      })
      return false
    }
  }

  /** Ends a pass that is under way; nothing is lost, since the next start makes a new one. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await Promise.allSettled(this.#passing.values())
  }

  #passOnce(repository: RepositoryName): Promise<void> {
    if (!this.wants(repository)) return Promise.resolve()
    const passing = this.#passing.get(repository) ?? this.#pass(repository)
    this.#passing.set(repository, passing)
    return passing.finally(() => this.#passing.delete(repository))
  }

  /** Blobs first, so that manifests find what they refer to; then manifests, so that tags find them. */
  async #pass(repository: RepositoryName): Promise<void> {
    const { db, keys } = this.#options
    const signal = this.#abort.signal
    const layers = both(this.#digests(layersFolder(repository)), allBlobs(db, repository))
    await inParallel(layers, signal, (digest) => this.#items.blob(repository, digest))
    const revisions = both(this.#digests(revisionsFolder(repository)), allManifests(db, repository))
    await inParallel(revisions, signal, (digest) => this.#items.manifest(repository, digest))
    const tags = both(this.#tags(keys, repository), allTags(db, repository) as AsyncIterable<Tag>)
    await inParallel(tags, signal, (tag) => this.#items.tag(repository, tag))
    this.#passed.add(repository)
  }

  async *#digests(folder: string): AsyncGenerator<Digest> {
    const { keys } = this.#options
    for (const algorithm of ['sha256', 'sha512']) {
      for await (const { name, directory } of keys.list(`${folder}/${algorithm}`)) {
        const digest = `${algorithm}:${name}`
        if (directory && isDigest(digest)) yield digest
        else this.#warn('the name is no digest', `${folder}/${algorithm}/${name}`)
      }
    }
  }

  async *#tags(keys: KeyStore, repository: RepositoryName): AsyncGenerator<Tag> {
    const folder = tagsFolder(repository)
    for await (const { name, directory } of keys.list(folder)) {
      if (directory && isTag(name)) yield name
      else this.#warn('the name is no tag', `${folder}/${name}`)
    }
  }

  #allNames(): Promise<readonly RepositoryName[]> {
    this.#names ??= this.#enumerate()
    return this.#names
  }

  async #enumerate(): Promise<readonly RepositoryName[]> {
    const names: RepositoryName[] = []
    const folders: string[][] = [[]]
    for (let parts = folders.pop(); parts; parts = folders.pop()) {
      this.#abort.signal.throwIfAborted()
      const name = parts.join('/')
      if (!(await this.#childrenOf(parts, folders))) continue
      if (isRepositoryName(name)) names.push(name)
      else this.#warn('the name is no repository name', `${REPOSITORIES_FOLDER}/${name}`)
    }
    return names
  }

  /** Adds the folders below that may hold repositories; resolves to whether this one is a repository. */
  async #childrenOf(parts: readonly string[], folders: string[][]): Promise<boolean> {
    const path = [REPOSITORIES_FOLDER, ...parts].join('/')
    let isRepository = false
    try {
      for await (const { name, directory } of this.#options.keys.list(path)) {
        if (name === '_manifests' || name === '_layers') isRepository = true
        else if (directory && !name.startsWith('_') && parts.length < NAME_DEPTH_MAX)
          folders.push([...parts, name])
      }
    } catch (error) {
      this.#unreadFolders += 1
      this.#options.log.error('a folder of the tree could not be read', { path, error: String(error) })
    }
    return isRepository
  }

  #warn(what: string, where: string): void {
    if (this.#warned.has(where)) return
    this.#broken += 1
    if (this.#broken > WARNINGS_MAX) return
    this.#warned.add(where)
    this.#options.log.warn(`broken in the tree: ${what}`, { path: where })
    if (this.#broken === WARNINGS_MAX)
      this.#options.log.warn('more is broken in the tree: only the count is told', {})
  }
}

/** The items of both, each once. What stands in both is kept in memory: the names of one repository. */
async function* both<T>(first: AsyncIterable<T>, second: AsyncIterable<T>): AsyncGenerator<T> {
  const seen = new Set<T>()
  for await (const item of first) {
    seen.add(item)
    yield item
  }
  for await (const item of second) if (!seen.has(item)) yield item
}

async function inParallel<T>(
  items: AsyncGenerator<T>,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const next = async () => {
    for (;;) {
      signal.throwIfAborted()
      const { value, done } = await items.next()
      if (done) return
      await work(value)
    }
  }
  await Promise.all(Array.from({ length: ITEMS_AT_ONCE }, next))
}
