// How many upload sessions are open, for the limit on them.
//
// Where other processes open sessions too, they are counted anew every now and then: the limit may be passed by what the
// others opened since.
const RECOUNT_MS = 2_000

export interface OpenUploadsOptions {
  /** Sessions that were open at the start. */
  readonly count: number
  /** Counts them in the database; absent where no other process opens or ends any. */
  readonly recount?: () => Promise<number>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export class OpenUploads {
  readonly #recount: (() => Promise<number>) | undefined
  readonly #now: () => number
  #count: number
  #countedAt: number

  constructor({ count, recount, now }: OpenUploadsOptions) {
    this.#count = count
    this.#recount = recount
    this.#now = now
    this.#countedAt = now()
  }

  async count(): Promise<number> {
    if (this.#recount && Math.abs(this.#now() - this.#countedAt) > RECOUNT_MS) {
      this.#countedAt = this.#now()
      this.#count = await this.#recount()
    }
    return this.#count
  }

  opened(): void {
    this.#count += 1
  }

  closed(): void {
    this.#count = Math.max(0, this.#count - 1)
  }
}
