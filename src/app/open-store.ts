// The blobs and the facts, opened as the configuration names them, and the tree beside them.
import { randomUUID } from 'node:crypto'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Closers } from '#app/closers.ts'
import type { Role } from '#app/role.ts'
import { storageFailure } from '#blobs/file-calls.ts'
import { openStorage, type StorageOptions } from '#blobs/open-storage.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Config } from '#config/schema.ts'
import { storageOptions } from '#config/slices.ts'
import type { Db } from '#db/db.ts'
import { joinFolder, lockFolder } from '#db/folder-lock.ts'
import { refuseNetworkFileSystem } from '#db/network-file-system.ts'
import { Reserve } from '#db/reserve.ts'
import type { Signals } from '#db/signals.ts'
import { openSqlite } from '#db/sqlite.ts'
import { databaseFailure } from '#db/sqlite-failure.ts'
import { freeAllUploads } from '#db/uploads.ts'
import { joinTree, type OpenTree, openTree, type TreeOptions } from '#maintenance/open-tree.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

const TREE_READ_TOPIC = 'tree.read'

export interface Store {
  readonly storage: BlobStorage
  readonly db: Db
  /** Between all processes of all machines; undefined where the database is of one machine alone. */
  readonly shared: Signals | undefined
  /** Undefined where nothing else could read it: in memory. */
  readonly tree: OpenTree | undefined
  /** Undefined in memory, or where the database is. */
  readonly reserve: Reserve | undefined
}

export async function openStore(config: Config, log: Log, role: Role, closers: Closers): Promise<Store> {
  const onError = (error: Error) =>
    log.error('the database could not be checkpointed', { error: error.message })
  const onSyncFailure = (error: Error) =>
    log.error('the disk failed to keep what the database wrote: writes are refused until a restart', {
      error: String(error.cause),
    })
  const options = storageOptions(config)
  const surroundings = storeSurroundings(log)
  if (options.kind === 'memory') {
    const db = await openSqlite({ onError })
    closers.push(() => db.close())
    return {
      ...(await openStorage(options, surroundings)),
      db,
      shared: undefined,
      tree: undefined,
      reserve: undefined,
    }
  }
  const { path, url } = config.database
  if (url !== undefined) return openSharedStore(config, options, url, log, role, closers)
  // Where the blobs lie elsewhere, the facts are what two servers must not write at once.
  const root = config.storage.filesystem?.rootdirectory
  const folder = root === undefined ? dirname(path) : join(root, 'stowage')
  const joins = role.kind === 'worker'
  const among = role.kind === 'alone' ? undefined : { signals: role.signals, joins }
  const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
  const lock = joins ? joinFolder(folder) : await lockFolder(folder, holder)
  closers.push(() => lock.release())
  const { storage, keys, close } = await openStorage(options, surroundings)
  closers.push(close)
  if (path !== ':memory:') await refuseNetworkFileSystem(dirname(path)).catch(passMissing)
  const reserve = path === ':memory:' ? undefined : await Reserve.find({ path, log, now: Date.now, among })
  const db = await openSqlite({ path, onError, onSyncFailure, reserve, among })
  closers.push(() => db.close())
  const parts = keys && { db, storage, keys, log, now: Date.now, ...treeSettings(config) }
  if (!joins) {
    // Whoever wrote before us is gone: we have the folder.
    await db.transaction((tx) => freeAllUploads(tx), { mayUseReserve: true })
    await reserve?.make()
  }
  const tree = parts && (await treeOf(role, parts))
  if (tree) closers.push(() => tree.close())
  return { storage, db, shared: undefined, tree, reserve }
}

/** Facts in PostgreSQL: any number of processes share them, and the blobs, so nobody locks anything here. */
async function openSharedStore(
  config: Config,
  options: StorageOptions,
  url: string,
  log: Log,
  role: Role,
  closers: Closers,
): Promise<Store> {
  // Here and not above: an embedded server does without the client of PostgreSQL.
  const { openPostgres } = await import('#db/postgres.ts')
  const onWarning = (message: string, fields: Readonly<Record<string, unknown>>) => log.warn(message, fields)
  const { connections } = config.database
  const { db, signals: shared } = await openPostgres({ url, connections, onWarning })
  closers.push(
    () => db.close(),
    () => shared.close(),
  )
  const { storage, keys, close } = await openStorage(options, storeSurroundings(log))
  closers.push(close)
  const parts = keys && { db, storage, keys, log, now: Date.now, ...treeSettings(config) }
  const tree = parts && (await treeOf(role, parts))
  if (tree) closers.push(() => tree.close())
  return { storage, db, shared, tree, reserve: undefined }
}

function storeSurroundings(log: Log) {
  const onError = (digest: Digest, error: unknown) =>
    log.warn('a blob was served from the cold tier and could not be brought up', {
      digest,
      error: String(error),
    })
  return { temporaryId: randomUUID, now: Date.now, onError }
}

function treeSettings({ storage, events }: Config): Pick<TreeOptions, 'kept' | 'writesKeptMs'> {
  return { kept: storage.tree, writesKeptMs: events.writeretentionMs }
}

/** The primary, or a process that is alone, keeps the tree; its workers hear of that. */
async function treeOf(role: Role, parts: TreeOptions): Promise<OpenTree> {
  if (role.kind !== 'worker') {
    const onRead = () => role.kind === 'primary' && role.signals.publish(TREE_READ_TOPIC)
    return openTree({ ...parts, onRead })
  }
  const tree = await joinTree(parts, role.treeRead)
  role.signals.subscribe(TREE_READ_TOPIC, () => tree.pass.markDone())
  return tree
}

/** A full disk is told by the system or by SQLite, at whatever comes first: it gets a sentence of its own. */
export function startFailure(error: unknown, { storage, database }: Config): unknown {
  const root = storage.filesystem?.rootdirectory ?? tmpdir()
  const beside = database.path === ':memory:' || database.path.startsWith(root)
  const folders = beside ? root : `${root} or ${dirname(database.path)}`
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const told = storageFailure(databaseFailure(cause))
    if (!(told instanceof OciError) || told.reason !== 'STORAGE_FULL') continue
    return new Error(`no space is left on the disk of ${folders}: free some, then start again`, {
      cause: error,
    })
  }
  return error
}

/** A folder that is not there yet is made by the database. */
function passMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}
