// One server a folder. The lock is an exclusive transaction on a small SQLite file: the kernel frees it when we die, however.
// Its workers share a second lock: a server that follows waits until the last of them is gone, also when its own is not.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'

/** Says who has the folder, or had it last. */
export const HOLDER_FILE = 'holder.json'
/** A worker ends as soon as it finds its server gone. */
const WORKERS_GONE_MS_MAX = 15_000
const WORKERS_POLL_MS = 50
/** Nothing is ever written: a journal would only need space, which a start on a full disk does not have. */
const NO_JOURNAL = 'pragma journal_mode = memory'

export interface LockHolder {
  readonly pid: number
  readonly host: string
  /** ISO 8601. */
  readonly since: string
}

export interface FolderLock {
  release(): void
}

/** Another process has the folder. */
export class FolderTaken extends Error {
  override readonly name = 'FolderTaken'
}

/** @throws FolderTaken with a sentence that names the holder */
export async function lockFolder(folder: string, holder: LockHolder): Promise<FolderLock> {
  await mkdir(folder, { recursive: true })
  const holderFile = join(folder, HOLDER_FILE)
  const database = new DatabaseSync(join(folder, 'lock'))
  try {
    database.exec(`pragma locking_mode = exclusive; pragma busy_timeout = 0; ${NO_JOURNAL}; begin exclusive`)
  } catch (error) {
    database.close()
    if (!(error instanceof Error) || !/locked|busy/i.test(error.message)) throw error
    throw new FolderTaken(
      `another server has the folder ${folder}: ${await describe(holderFile)}. Stop it, or give this one a folder of its own`,
      { cause: error },
    )
  }
  try {
    await workersGone(folder)
  } catch (error) {
    database.close()
    throw error
  }
  await writeFile(holderFile, `${JSON.stringify(holder)}\n`).catch(passFull)
  return {
    release() {
      database.exec('rollback')
      database.close()
    },
  }
}

/** For a worker of the server that has the folder: until it ends, no other server begins. */
export function joinFolder(folder: string): FolderLock {
  const database = new DatabaseSync(join(folder, WORKERS_FILE))
  try {
    database.exec('pragma busy_timeout = 5000; begin; select count(*) from sqlite_master')
  } catch (error) {
    database.close()
    throw error
  }
  return {
    release() {
      database.exec('rollback')
      database.close()
    },
  }
}

const WORKERS_FILE = 'lock-workers'

async function workersGone(folder: string): Promise<void> {
  const database = new DatabaseSync(join(folder, WORKERS_FILE))
  const deadline = performance.now() + WORKERS_GONE_MS_MAX
  try {
    database.exec(`pragma busy_timeout = 0; ${NO_JOURNAL}`)
    for (;;) {
      try {
        database.exec('begin exclusive; rollback')
        return
      } catch (error) {
        if (!(error instanceof Error) || !/locked|busy/i.test(error.message)) throw error
        if (performance.now() > deadline) {
          throw new Error(`workers of an earlier server still have the folder ${folder}: end them`, {
            cause: error,
          })
        }
      }
      await wait(WORKERS_POLL_MS)
    }
  } finally {
    database.close()
  }
}

/** On a full disk the lock counts, and its holder stays without a name. */
function passFull(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
}

async function describe(holderFile: string): Promise<string> {
  try {
    const { pid, host, since } = JSON.parse(await readFile(holderFile, 'utf8')) as LockHolder
    return `process ${pid} on ${host}, running since ${since}`
  } catch {
    return 'a process that did not leave its name'
  }
}
