// Tells the database what clients used here, and learns what they used elsewhere: in batches, so that no request waits.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { RateBuckets } from '#access/rates/rate-buckets.ts'
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { addRateUses, RATE_USES_MAX } from '#db/rate-uses.ts'
import type { Log } from '#telemetry/log.ts'

/** How long other processes may not know of a use, and a process that has just started of those before it. */
export const SHARING_INTERVAL_MS = 1_000
/** A client that comes after a pause is asked for soon: what it used before may be known elsewhere only. */
const FIRST_MS = 20

export class SharedRates {
  readonly #db: Db
  readonly #buckets: RateBuckets
  readonly #log: Log
  #timer: NodeJS.Timeout | undefined
  #sharedAt = Number.NEGATIVE_INFINITY
  #sharing: Promise<void> = Promise.resolve()
  #isFailing = false
  #isClosed = false

  constructor(db: Db, buckets: RateBuckets, log: Log) {
    this.#db = db
    this.#buckets = buckets
    this.#log = log
  }

  /** After a use. */
  soon(): void {
    if (this.#timer || this.#isClosed) return
    const sinceMs = performance.now() - this.#sharedAt
    this.#timer = setTimeout(
      () => void this.share(),
      Math.max(FIRST_MS, SHARING_INTERVAL_MS - sinceMs),
    ).unref()
  }

  /** Never rejects: what cannot be told now is told later. */
  share(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sharedAt = performance.now()
    this.#sharing = this.#sharing.then(() => this.#shareAll())
    return this.#sharing
  }

  async close(): Promise<void> {
    await this.share()
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  async #shareAll(): Promise<void> {
    // Not all that come meanwhile: then there would be no pause in which to gather some.
    for (let left = this.#buckets.untold; left > 0; left -= RATE_USES_MAX) {
      const untold = this.#buckets.takeUntold(RATE_USES_MAX)
      try {
        const free = await this.#db.transaction((tx) => addRateUses(tx, untold), {
          durable: false,
          locks: NO_LOCKS,
        })
        for (const [key, freeInMs] of free) this.#buckets.learn(key, freeInMs)
        this.#isFailing = false
      } catch (error) {
        this.#buckets.putBack(untold)
        if (!this.#isFailing)
          this.#log.warn('rate limits hold for this process alone until the database answers', {
            error: String(error),
          })
        this.#isFailing = true
        break
      }
      await yieldToLoop()
    }
    if (this.#buckets.untold > 0) this.soon()
  }
}
