// Space that is kept for deletes: taking something away needs a little room in the database before it gives any back.
//
// The reserve is a file beside the database. A delete that meets a full disk gives it up; from then on nothing that grows
// is taken until it could be made again, so that only deletes use what it gave. The file stays, emptied: a start that
// finds it short knows that it was given up, or died while it was made.
import { randomFillSync } from 'node:crypto'
import { type FileHandle, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Signals } from '#db/signals.ts'
import type { AmongProcesses } from '#db/sqlite.ts'
import { Mutex } from '#lib/mutex.ts'
import type { Log } from '#telemetry/log.ts'

const MiB = 1024 * 1024
/** Room for about a thousand deletes between two checkpoints. */
export const RESERVE_BYTES = 8 * MiB
/** So much stays free beside it: it never takes the last space of a disk. */
const FREE_BYTES_BESIDE = 2 * MiB
const CHUNK_BYTES = MiB
/** A quota can refuse what the free space of the disk promises: not tried again with each push. */
const RETRY_MS = 5_000

export interface ReserveOptions {
  /** The database; the reserve is `<path>-reserve`. */
  readonly path: string
  readonly log: Log
  readonly now: () => number
  /**
   * Where several processes have the database open. One that joins another leaves it to that one to make the reserve: it asks
   * for it, gives it up where it must, and looks at the file for what the others did.
   */
  readonly among?: AmongProcesses | undefined
}

const TOPIC = 'db.reserve'

type State = 'none' | 'held' | 'given up'

export class Reserve {
  readonly #database: string
  readonly #path: string
  readonly #log: Log
  readonly #now: () => number
  readonly #mutex = new Mutex()
  readonly #among: AmongProcesses | undefined
  #state: State
  #retryAt = 0

  private constructor({ path, log, now, among }: ReserveOptions, state: State) {
    this.#among = among
    this.#database = path
    this.#path = reservePath(path)
    this.#log = log
    this.#now = now
    this.#state = state
  }

  /** Looks at what an earlier process left; makes nothing. */
  static async find(options: ReserveOptions): Promise<Reserve> {
    const reserve = new Reserve(options, await stateOf(options.path))
    options.among?.signals.subscribe(TOPIC, () => void reserve.#told())
    return reserve
  }

  async #told(): Promise<void> {
    await this.look().catch(() => {})
    if (!this.#among?.joins && this.isGivenUp) await this.make()
  }

  /** Looks at what another process did with it: gave it up, or made it again. */
  look(): Promise<void> {
    return this.#mutex.run(async () => {
      this.#state = await stateOf(this.#database)
    })
  }

  /** While this is so, only deletes may write. */
  get isGivenUp(): boolean {
    return this.#state === 'given up'
  }

  /** Frees the space for deletes. Resolves to false when there is nothing to give up. */
  giveUp(): Promise<boolean> {
    return this.#mutex.run(async () => {
      if (this.#state !== 'held') return false
      await this.#empty()
      this.#among?.signals.publish(TOPIC)
      this.#state = 'given up'
      this.#log.warn('the disk is full: the reserve is given up to deletes, and pushes are refused', {
        reserve: this.#path,
        bytes: RESERVE_BYTES,
      })
      return true
    })
  }

  /** Makes it where there is room. Resolves to whether it is held then; never rejects. */
  make(): Promise<boolean> {
    if (this.#among?.joins) return this.#ask(this.#among.signals)
    return this.#mutex.run(async () => {
      if (this.#state === 'held') return true
      try {
        if (this.#now() < this.#retryAt || !(await this.#hasRoom())) return false
        await this.#write()
      } catch (error) {
        this.#retryAt = this.#now() + RETRY_MS
        this.#log.warn('the reserve for deletes cannot be made', {
          reserve: this.#path,
          error: String(error),
        })
        return false
      }
      if (this.#state === 'given up') {
        this.#log.info('space is back: the reserve is made again, and pushes are taken', {
          reserve: this.#path,
          bytes: RESERVE_BYTES,
        })
      }
      this.#state = 'held'
      return true
    })
  }

  /** Held is what the file says by then: who makes it may take a moment longer. */
  async #ask(signals: Signals): Promise<boolean> {
    if (this.#state !== 'held') signals.publish(TOPIC)
    await this.look().catch(() => {})
    return this.#state === 'held'
  }

  async #hasRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(dirname(this.#path))
    return bavail * bsize + ((await sizeOf(this.#path)) ?? 0) >= RESERVE_BYTES + FREE_BYTES_BESIDE
  }

  /**
   * Every byte is written, and none can be compressed away. Not synced: a system takes the space when it takes the bytes,
   * and after a loss of power a start finds the file short.
   */
  async #write(): Promise<void> {
    const file = await open(this.#path, 'w')
    try {
      const chunk = randomFillSync(Buffer.allocUnsafe(CHUNK_BYTES))
      for (let at = 0; at < RESERVE_BYTES; at += CHUNK_BYTES) await file.writeFile(chunk)
      await file.close()
    } catch (error) {
      await file.close().catch(() => {})
      // What was taken in vain goes back; the mark that it was given up stays.
      if (this.#state === 'given up') await this.#empty()
      else await rm(this.#path, { force: true })
      throw error
    }
  }

  async #empty(): Promise<void> {
    let file: FileHandle
    try {
      file = await open(this.#path, 'r+')
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    try {
      await file.truncate(0)
      // Some file systems hand out what was freed only once that is in their journal.
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

/** Beside the database, under a name that can only be ours: the folder may be shared. */
export function reservePath(database: string): string {
  return `${database}-reserve`
}

async function stateOf(database: string): Promise<State> {
  const size = await sizeOf(reservePath(database))
  return size === undefined ? 'none' : size < RESERVE_BYTES ? 'given up' : 'held'
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
