// One server a folder. The lock is an exclusive transaction on a small SQLite file: the kernel frees it when we die, however.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface LockHolder {
  readonly pid: number
  readonly host: string
  /** ISO 8601. */
  readonly since: string
}

export interface FolderLock {
  release(): void
}

/** @throws Error with a sentence that names the holder when another process has the folder */
export async function lockFolder(folder: string, holder: LockHolder): Promise<FolderLock> {
  await mkdir(folder, { recursive: true })
  const holderFile = join(folder, 'holder.json')
  const database = new DatabaseSync(join(folder, 'lock'))
  try {
    database.exec('pragma locking_mode = exclusive; pragma busy_timeout = 0; begin exclusive')
  } catch (error) {
    database.close()
    if (!(error instanceof Error) || !/locked|busy/i.test(error.message)) throw error
    throw new Error(
      `another server has the folder ${folder}: ${await describe(holderFile)}. Stop it, or give this one a folder of its own`,
      { cause: error },
    )
  }
  await writeFile(holderFile, `${JSON.stringify(holder)}\n`)
  return {
    release() {
      database.exec('rollback')
      database.close()
    },
  }
}

async function describe(holderFile: string): Promise<string> {
  try {
    const { pid, host, since } = JSON.parse(await readFile(holderFile, 'utf8')) as LockHolder
    return `process ${pid} on ${host}, running since ${since}`
  } catch {
    return 'a process that did not leave its name'
  }
}
