// After a start: a pass over the whole tree of link files, which another program may have written to since our last stop.
// Until it has passed a repository every answer about it is checked on disk, one item at a time; so a tree that registry:2
// wrote is served at once and completely, while it is still being read.
import { availableParallelism } from 'node:os'
import { isScanning, type KeyStore, type Linked } from '#blobs/keys.ts'
import { layersFolder, REPOSITORIES_FOLDER, revisionsFolder, tagsFolder } from '#blobs/layout.ts'
import { isListing } from '#blobs/store.ts'
import type { Transaction } from '#db/db.ts'
import { ensureRepository, findRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { allBlobs, allManifests, allRepositories, allTags } from '#db/tree.ts'
import { inTurns } from '#lib/in-turns.ts'
import { repositoryFolders } from '#maintenance/repository-walk.ts'
import { ScannedLinks } from '#maintenance/scan/scanned-links.ts'
import { scannedNames } from '#maintenance/scan/scanned-names.ts'
import { scannedStore } from '#maintenance/scan/scanned-store.ts'
import { StoredSizes } from '#maintenance/scan/stored-sizes.ts'
import { type TreeItemOptions, TreeItems } from '#maintenance/tree-items.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { isRepositoryName, isTag, type Reference, type RepositoryName, type Tag } from '#oci/reference.ts'
import type { Upstream } from '#registry/upstream.ts'
import type { Log } from '#telemetry/log.ts'

const ITEMS_AT_ONCE = 8 * availableParallelism()
const WARNINGS_MAX = 100
const PROGRESS_MS = 10_000
const NAMES_PER_TRANSACTION = 100
/** Where every look is a request, several repositories are passed at a time. */
const SCANNED_AT_ONCE = 8

export interface TreePassOptions extends Omit<TreeItemOptions, 'onBroken'> {
  readonly keys: KeyStore & Linked
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
  /** What the store holds, for the pass of all. */
  #sizes: StoredSizes | undefined
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

  /** Another process has made the pass. */
  markDone(): void {
    this.#done = true
    this.#passed.clear()
    this.#names = undefined
    this.#sizes = undefined
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
    await this.#allNames()
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
      this.markDone()
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
    const { keys, storage } = this.#options
    const scans = isScanning(keys) && isListing(storage)
    if (scans) this.#sizes = await StoredSizes.read(storage, this.#abort.signal)
    await inTurns(names, scans ? SCANNED_AT_ONCE : 1, async (name) => {
      if (!(await this.#tryPass(name))) failed += 1
      count += 1
      if (performance.now() - told < PROGRESS_MS) return
      told = performance.now()
      log.info('reading the tree', { repositories: count, of: names.length, ...this.#items.counts })
    })
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
    const { db } = this.#options
    const signal = this.#abort.signal
    const { keys, items } = await this.#sourcesOf(repository)
    const layers = both(this.#digests(keys, layersFolder(repository)), allBlobs(db, repository))
    await inParallel(layers, signal, (digest) => items.blob(repository, digest))
    const revisions = both(this.#digests(keys, revisionsFolder(repository)), allManifests(db, repository))
    await inParallel(revisions, signal, (digest) => items.manifest(repository, digest))
    const tags = both(this.#tags(keys, repository), allTags(db, repository) as AsyncIterable<Tag>)
    await inParallel(tags, signal, (tag) => items.tag(repository, tag))
    this.#passed.add(repository)
  }

  /** The tree itself; or, where a scan costs less than a look at each file, what one scan found. */
  async #sourcesOf(
    repository: RepositoryName,
  ): Promise<{ readonly keys: Pick<KeyStore, 'list'>; readonly items: TreeItems }> {
    const { keys, storage } = this.#options
    const links = isScanning(keys) ? await ScannedLinks.read(keys, repository, this.#abort.signal) : undefined
    if (!links) return { keys, items: this.#items }
    const items = new TreeItems({
      ...this.#options,
      keys: links,
      storage: this.#sizes ? scannedStore(storage, this.#sizes) : storage,
      onBroken: (what, where) => this.#warn(what, where),
      counts: this.#items.counts,
    })
    return { keys: links, items }
  }

  async *#digests(keys: Pick<KeyStore, 'list'>, folder: string): AsyncGenerator<Digest> {
    for (const algorithm of ['sha256', 'sha512']) {
      for await (const { name, directory } of keys.list(`${folder}/${algorithm}`)) {
        const digest = `${algorithm}:${name}`
        if (directory && isDigest(digest)) yield digest
        else this.#warn('the name is no digest', `${folder}/${algorithm}/${name}`)
      }
    }
  }

  async *#tags(keys: Pick<KeyStore, 'list'>, repository: RepositoryName): AsyncGenerator<Tag> {
    const folder = tagsFolder(repository)
    for await (const { name, directory } of keys.list(folder)) {
      if (directory && isTag(name)) yield name
      else this.#warn('the name is no tag', `${folder}/${name}`)
    }
  }

  #allNames(): Promise<readonly RepositoryName[]> {
    this.#names ??= this.#enumerate().catch((error) => {
      // Whoever asks next may find what was in the way gone.
      this.#names = undefined
      throw error
    })
    return this.#names
  }

  async #enumerate(): Promise<readonly RepositoryName[]> {
    const { db, keys } = this.#options
    const names: RepositoryName[] = []
    let unlisted: RepositoryName[] = []
    const listener = {
      signal: this.#abort.signal,
      onLoop: (path: string) => this.#warn('the symbolic link leads back to a folder above it', path),
      onUnread: (path: string, error: unknown) => {
        this.#unreadFolders += 1
        this.#options.log.error('a folder of the tree could not be read', { path, error: String(error) })
      },
    }
    const folders = isScanning(keys) ? scannedNames(keys, listener.signal) : repositoryFolders(keys, listener)
    for await (const { name, manifests } of folders) {
      this.#abort.signal.throwIfAborted()
      if (!isRepositoryName(name)) {
        this.#warn('the name is no repository name', `${REPOSITORIES_FOLDER}/${name}`)
        continue
      }
      names.push(name)
      // Nothing is written where nothing is new: a full disk can be read.
      if (manifests && !(await findRepository(db, name))?.listed) unlisted.push(name)
      if (unlisted.length < NAMES_PER_TRANSACTION) continue
      await this.#listInCatalog(unlisted)
      unlisted = []
    }
    await this.#listInCatalog(unlisted)
    return names
  }

  /** So that `_catalog` need not wait until everything is taken over. */
  async #listInCatalog(names: readonly RepositoryName[]): Promise<void> {
    const { db, now } = this.#options
    const list = async (tx: Transaction) => {
      for (const name of names) await listRepositoryInCatalog(tx, await ensureRepository(tx, name, now()))
    }
    if (names.length > 0) await db.transaction(list, { durable: false })
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
