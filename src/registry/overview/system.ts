// What the registry is and how much is in it.
import { storedTotals } from '#db/blobs.ts'
import type { Db, Engine } from '#db/db.ts'
import { type SystemTotals, systemTotals } from '#db/system-totals.ts'

/** Counting looks at every row: whoever asks sooner gets the numbers from before. */
const COUNTED_AGAIN_MS = 30_000

export interface Program {
  readonly version: string
  /** What keeps the bytes: `filesystem`, `s3`. */
  readonly storage: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
}

export interface SystemOverview extends Program {
  readonly node: string
  readonly engine: Engine
  readonly uptimeMs: number
  readonly totals: SystemTotals & { readonly blobs: number; readonly bytes: number }
  readonly countedAt: number
}

type Counted = Pick<SystemOverview, 'totals' | 'countedAt'>

export class SystemFacts {
  readonly #db: Db
  readonly #program: Program
  readonly #now: () => number
  #counted: Counted | undefined
  #counting: Promise<Counted> | undefined

  constructor(db: Db, program: Program, now: () => number) {
    this.#db = db
    this.#program = program
    this.#now = now
  }

  async read(): Promise<SystemOverview> {
    const now = this.#now()
    const isFresh = this.#counted && now - this.#counted.countedAt < COUNTED_AGAIN_MS
    const counted = isFresh && this.#counted ? this.#counted : await this.#count()
    return {
      ...this.#program,
      ...counted,
      node: process.versions.node,
      engine: this.#db.engine,
      uptimeMs: now - this.#program.startedAt,
    }
  }

  /** Once, however many ask. */
  #count(): Promise<Counted> {
    this.#counting ??= this.#countNow().finally(() => {
      this.#counting = undefined
    })
    return this.#counting
  }

  async #countNow(): Promise<Counted> {
    const totals = { ...(await systemTotals(this.#db)), ...(await storedTotals(this.#db)) }
    this.#counted = { totals, countedAt: this.#now() }
    return this.#counted
  }
}
