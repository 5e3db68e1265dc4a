/**
 * Shares one slow synchronisation among all who need it. Every run() resolves after a sync that began after the call, so
 * what the caller had done by then is covered by it. One sync runs and one waits, however many call.
 */
export class SharedSync {
  readonly #sync: () => Promise<void>
  #running: Promise<void> | undefined
  /** The sync that begins when the running one ends. */
  #queued: Promise<void> | undefined

  constructor(sync: () => Promise<void>) {
    this.#sync = sync
  }

  /** Rejects when the sync that was waited for failed; the next one starts afresh. */
  run(): Promise<void> {
    if (!this.#running) return this.#begin()
    const next = () => this.#begin()
    // A failure of the running one belongs to those who wait for it, not to those who come after.
    this.#queued ??= this.#running.then(next, next)
    return this.#queued
  }

  #begin(): Promise<void> {
    this.#queued = undefined
    this.#running = this.#once()
    return this.#running
  }

  async #once(): Promise<void> {
    try {
      await this.#sync()
    } finally {
      // With one queued the place stays taken until that one begins, or a call in between would start a second beside it.
      if (!this.#queued) this.#running = undefined
    }
  }
}
