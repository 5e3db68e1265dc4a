// Transactions that come together share one commit: each commit writes whole pages, the heads of the indexes among them,
// which its neighbours touch too.
import { setImmediate as yieldToLoop } from 'node:timers/promises'

/** As many as do not hold up the event loop for long. */
const WORKS_PER_COMMIT = 16

/** A connection's transaction. All calls but the first are synchronous, and throw what the engine said. */
export interface Grouping {
  /** Waits without blocking while another process writes. */
  begin(): Promise<void>
  commit(): void
  rollback(): void
  /** Marks where to go back to when the next work fails. */
  mark(): void
  unmark(): void
  goBack(): void
  /** False also when the engine rolled back by itself, as SQLite does on a full disk. */
  readonly isOpen: boolean
}

interface Waiting {
  /** Does the work, and returns what tells the caller its result once that is committed. */
  readonly work: () => Promise<() => void>
  readonly reject: (error: unknown) => void
}

export class GroupCommit {
  readonly #grouping: Grouping
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(grouping: Grouping) {
    this.#grouping = grouping
  }

  /** Resolves when the work is committed. Work that rejects is undone alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        work: async () => {
          const value = await work()
          return () => resolve(value)
        },
        reject,
      }
      this.#waiting.push(waiting)
      this.#running ??= this.#runAll()
    })
  }

  /** Resolves when no work is left. */
  async drained(): Promise<void> {
    await this.#running
  }

  async #runAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Who comes in the same turn of the loop shares the commit.
      await yieldToLoop()
      await this.#runTogether(this.#waiting.splice(0, WORKS_PER_COMMIT))
    }
    this.#running = undefined
  }

  async #runTogether(works: readonly Waiting[]): Promise<void> {
    const done: { readonly waiting: Waiting; readonly tell: () => void }[] = []
    const alone = works.length === 1
    for (const waiting of works) {
      try {
        if (!this.#grouping.isOpen) await this.#grouping.begin()
        if (!alone) this.#grouping.mark()
        const tell = await waiting.work()
        if (!alone) this.#grouping.unmark()
        done.push({ waiting, tell })
      } catch (error) {
        waiting.reject(error)
        if (this.#grouping.isOpen) {
          if (alone) this.#grouping.rollback()
          else this.#grouping.goBack()
        } else {
          for (const lost of done.splice(0)) lost.waiting.reject(error)
        }
      }
    }
    if (!this.#grouping.isOpen) return
    try {
      this.#grouping.commit()
    } catch (error) {
      if (this.#grouping.isOpen) this.#grouping.rollback()
      for (const { waiting } of done) waiting.reject(error)
      return
    }
    for (const { tell } of done) tell()
  }
}
