// `stowage db rebuild`: the facts anew from the tree of link files, into a new file that takes the place of the old one when
// it is complete. What only the old one knows is carried over.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { databaseNamed, lockRegistry } from '#app/database-place.ts'
import { type OpenStorage, openStorage } from '#blobs/open-storage.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Rebuilt } from '#cli/program.ts'
import type { Config } from '#config/schema.ts'
import { storageOptions } from '#config/slices.ts'
import { carryOver, checkFile } from '#db/carry-over.ts'
import type { Db } from '#db/db.ts'
import { projectDepth, setProjectDepth } from '#db/project-depth.ts'
import { repositoryPage } from '#db/repositories.ts'
import { openSqlite } from '#db/sqlite.ts'
import { systemTotals } from '#db/system-totals.ts'
import { rebuildUsage } from '#db/usage-recount.ts'
import { type OpenTree, openTree } from '#maintenance/open-tree.ts'
import type { Log } from '#telemetry/log.ts'

export interface RebuildRequest {
  /** A folder of data or a configuration. */
  readonly name: string
  readonly cwd: string
  /** Nothing of the old database is looked at. */
  readonly alone: boolean
  readonly log: Log
}

/** @throws CommandFailure when it is refused, or fails: then the old database is as it was */
export async function rebuildDatabaseOf({ name, cwd, alone, log }: RebuildRequest): Promise<Rebuilt> {
  const { place, config } = await databaseNamed(name, cwd)
  if (!config || place.kind !== 'sqlite')
    throw new CommandFailure(EXIT.failed, 'only a database in a file is rebuilt', {
      hint: 'name the folder of a registry or its configuration; for PostgreSQL see docs/operate/rebuild.md',
    })
  if (!config.storage.tree)
    throw new CommandFailure(
      EXIT.failed,
      'storage.tree is off: nothing but the database says what there is',
      {
        hint: 'restore a backup: docs/operate/backup.md',
      },
    )
  const { path, lock: folder = dirname(place.path) } = place
  await using closing = new AsyncDisposableStack()
  const lock = await lockRegistry(folder)
  closing.defer(() => lock.release())
  const onError = () => {}
  const storage = await openStorage(storageOptions(config), {
    temporaryId: randomUUID,
    now: Date.now,
    onError,
  })
  closing.defer(() => storage.close())
  const former = existsSync(path)
  const fresh = `${path}.rebuilt`
  await removeDatabase(fresh)
  closing.defer(() => removeDatabase(fresh))
  const depth = former && !alone ? await bringTreeUpToDate(path, config, storage, log) : 1
  const read = await readTree(fresh, depth, config, storage, log)
  if (!read)
    throw new CommandFailure(EXIT.failed, 'the tree could not be read to its end: nothing was changed')
  if (!(await hasRepositories(fresh)))
    throw new CommandFailure(
      EXIT.failed,
      'there is no repository in the tree: is it mounted? Nothing was changed',
    )
  const carried = former && !alone ? await carryOver(fresh, path) : undefined
  const found = await finish(fresh)
  return { path, kept: former ? await swap(fresh, path) : await put(fresh, path), found, carried }
}

/** What was pushed last may not have its link files yet: a start would write them first, too. Resolves to the depth of projects. */
async function bringTreeUpToDate(
  path: string,
  config: Config,
  storage: OpenStorage,
  log: Log,
): Promise<number> {
  try {
    checkFile(path)
    const db = await openSqlite({ path })
    try {
      const tree = await treeOf(db, config, storage, log)
      await tree.close()
      if ((await tree.lag()) > 0) throw new Error('its last events could not be written to the tree')
      return await projectDepth(db)
    } finally {
      await db.close()
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(EXIT.failed, `the old database cannot be used: ${message}`, {
      hint: 'restore a backup of it; or rebuild with --alone, which loses users, rules, the audit log and all else that only it knows',
      cause: error,
    })
  }
}

/** False when a part could not be read. */
async function readTree(
  path: string,
  depth: number,
  config: Config,
  storage: OpenStorage,
  log: Log,
): Promise<boolean> {
  const db = await openSqlite({ path })
  try {
    await db.transaction((tx) => setProjectDepth(tx, depth))
    const tree = await treeOf(db, config, storage, log)
    try {
      await tree.pass.run()
      return tree.pass.done
    } finally {
      await tree.close()
    }
  } finally {
    await db.close()
  }
}

function treeOf(db: Db, config: Config, { storage, keys }: OpenStorage, log: Log): Promise<OpenTree> {
  if (!keys) throw new CommandFailure(EXIT.failed, 'this configuration keeps its blobs in memory')
  const writesKeptMs = config.events.writeretentionMs
  return openTree({ db, storage, keys, log, now: Date.now, kept: true, writesKeptMs })
}

async function finish(path: string): Promise<Rebuilt['found']> {
  const db = await openSqlite({ path })
  try {
    // Who pushed what is known only now.
    await db.transaction((tx) => rebuildUsage(tx))
    const { repositories, manifests, tags } = await systemTotals(db)
    return { repositories, manifests, tags }
  } finally {
    await db.close()
  }
}

async function hasRepositories(path: string): Promise<boolean> {
  const db = await openSqlite({ path })
  try {
    return (await repositoryPage(db, '', 1)).length > 0
  } finally {
    await db.close()
  }
}

async function put(fresh: string, path: string): Promise<undefined> {
  await rename(fresh, path)
  await syncFolder(dirname(path))
}

/** There is a database at the path at every moment. Resolves to where the old one is. */
async function swap(fresh: string, path: string): Promise<string> {
  const kept = `${path}.before-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`
  await link(path, kept).catch(() => copyFile(path, kept))
  // Only a database that nobody could open has one.
  if (existsSync(`${path}-wal`)) await rename(`${path}-wal`, `${kept}-wal`)
  await rm(`${path}-shm`, { force: true })
  await put(fresh, path)
  return kept
}

async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(`${path}${suffix}`, { force: true })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
