// What a person names when he means a database: a URL, a folder of data, a file, or a configuration.

import { existsSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { loadConfig } from '#config/load.ts'
import type { Config } from '#config/schema.ts'
import { type FolderLock, FolderTaken, HOLDER_FILE, lockFolder } from '#db/folder-lock.ts'

export interface SqlitePlace {
  readonly kind: 'sqlite'
  readonly path: string
  /** The folder that a server locks which has this database; undefined for a file that lies by itself. */
  readonly lock: string | undefined
}

export type DatabasePlace = SqlitePlace | { readonly kind: 'postgres'; readonly url: string }

export interface NamedDatabase {
  readonly place: DatabasePlace
  /** Where the registry is that it belongs to; undefined for a database that is named by itself. */
  readonly config: Config | undefined
}

const URL_BEGINS = /^postgres(?:ql)?:\/\//i
const FILE_ENDS = /\.(?:sqlite3?|db)$/i
const SQLITE_BEGINS = 'SQLite format 3\0'

/** A configuration is read without the variables of this process: two that are named must not become one. @throws CommandFailure */
export async function databaseNamed(name: string, cwd: string): Promise<NamedDatabase> {
  if (URL_BEGINS.test(name)) return { place: { kind: 'postgres', url: name }, config: undefined }
  const path = resolve(cwd, name)
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) {
    const { config } = await loadConfigOf(path)
    return { place: placeOf(config), config }
  }
  if (FILE_ENDS.test(path) || (found && (await isSqlite(path))))
    return { place: { kind: 'sqlite', path, lock: lockBeside(path) }, config: undefined }
  if (!found)
    throw new CommandFailure(EXIT.notFound, `${name} does not exist`, {
      hint: 'name a URL, the folder of a registry, a file that ends in .sqlite, or a configuration',
    })
  const { config } = await loadConfig({ file: path, env: {}, cwd })
  return { place: placeOf(config), config }
}

function lockBeside(path: string): string | undefined {
  return existsSync(join(dirname(path), HOLDER_FILE)) ? dirname(path) : undefined
}

/** As if a configuration named that folder and nothing else. */
function loadConfigOf(root: string): ReturnType<typeof loadConfig> {
  return loadConfig({ env: { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }, cwd: root })
}

function placeOf({ database: { url, path }, storage: { filesystem } }: Config): DatabasePlace {
  if (url !== undefined) return { kind: 'postgres', url }
  if (path === ':memory:')
    throw new CommandFailure(EXIT.failed, 'this configuration keeps its database in memory')
  const lock = filesystem ? join(filesystem.rootdirectory, 'stowage') : dirname(path)
  return { kind: 'sqlite', path, lock }
}

async function isSqlite(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const { buffer } = await file.read(Buffer.alloc(SQLITE_BEGINS.length), 0, SQLITE_BEGINS.length, 0)
    return buffer.toString('latin1') === SQLITE_BEGINS
  } finally {
    await file.close()
  }
}

/** So that no server starts on it meanwhile. @throws CommandFailure while one has it */
export async function lockRegistry(folder: string): Promise<FolderLock> {
  const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
  try {
    return await lockFolder(folder, holder)
  } catch (error) {
    if (error instanceof FolderTaken) throw new CommandFailure(EXIT.failed, error.message, { cause: error })
    throw error
  }
}
