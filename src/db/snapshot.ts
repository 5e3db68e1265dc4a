// A copy of a database file at one moment, beside a server that goes on writing: the online backup of SQLite, in one step, so
// that it never begins anew. Meanwhile the log of the server grows by what it writes; it waits for nothing.
import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { refuseUnfinishedCopy, UNFINISHED_COPY } from '#db/unfinished-copy.ts'

const ALL_PAGES = 2 ** 31 - 1
/** It holds the hashes of passwords and the keys of tokens. */
const MODE = 0o600

/** Set where link files may be missing that the facts have: a start writes all of them before it believes any. */
export const LINKS_TO_WRITE = 'links_to_write'

export interface Snapshot {
  readonly file: string
  readonly bytes: number
  /** The last event in it: everything that was acknowledged before is. */
  readonly lastEvent: number
}

/**
 * Replaces an older file only when the new one is whole, checked and on the disk.
 * @throws Error when the database is absent, half of a copy, or broken
 */
export async function snapshotSqlite(path: string, file: string): Promise<Snapshot> {
  if (!existsSync(path)) throw new Error(`${path} does not exist: name the folder of a registry`)
  const part = `${file}.part`
  await rm(part, { force: true })
  await (await open(part, 'wx', MODE)).close()
  try {
    // Not read-only: where no server has it open, such a connection would leave its log behind.
    const source = new DatabaseSync(path)
    try {
      source.exec('pragma query_only = on; pragma busy_timeout = 10000; pragma wal_autocheckpoint = 0')
      refuseUnfinishedCopy(has(source, UNFINISHED_COPY))
      await backup(source, part, { rate: ALL_PAGES })
    } finally {
      source.close()
    }
    const lastEvent = finish(part)
    const bytes = await sync(part)
    await rename(part, file)
    await sync(dirname(file))
    return { file, bytes, lastEvent }
  } catch (error) {
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${part}${suffix}`, { force: true })
    throw error
  }
}

/** Resolves to the last event. */
function finish(part: string): number {
  const database = new DatabaseSync(part)
  try {
    // One file, also when it is looked into.
    database.exec('pragma journal_mode = delete')
    const [check] = database.prepare('pragma quick_check(1)').all()
    if (check?.['quick_check'] !== 'ok')
      throw new Error(`the database is broken: ${check?.['quick_check']}. Keep the backup that you have`)
    // Whoever restores it has link files of another moment, or none.
    database
      .prepare(
        "insert into settings (key, value) values (?, 'yes') on conflict (key) do update set value = excluded.value",
      )
      .run(LINKS_TO_WRITE)
    // Their bytes are in files that change: no backup has them. Who comes back begins anew.
    database.exec('delete from uploads')
    return Number(database.prepare('select max(id) as last from events').get()?.['last'] ?? 0)
  } finally {
    database.close()
  }
}

function has(database: DatabaseSync, table: string): unknown {
  return database.prepare("select 1 from sqlite_schema where type = 'table' and name = ?").get(table)
}

async function sync(path: string): Promise<number> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}
