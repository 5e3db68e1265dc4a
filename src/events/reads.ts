// Read events: kept in memory and written in batches, so that no pull waits for the database.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { Db } from '#db/db.ts'
import { insertEvents, type NewEvent } from '#db/events.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { addPulls, type Pulls } from '#db/pulls.ts'
import type { Fact, ReadKind } from '#events/kinds.ts'
import { eventOf } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import type { Log } from '#telemetry/log.ts'

const EVENTS_BUFFERED_MAX = 50_000
const EVENTS_PER_TRANSACTION = 250
const FLUSH_INTERVAL_MS = 1_000

export class ReadRecorder {
  readonly #db: Db
  readonly #log: Log
  readonly #now: () => number
  readonly #onDropped: (events: number) => void
  #buffer: NewEvent[] = []
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> = Promise.resolve()
  #dropped = 0

  /** `onDropped` hears of events that are lost, for the metrics. */
  constructor(db: Db, log: Log, now: () => number, onDropped: (events: number) => void = () => {}) {
    this.#db = db
    this.#log = log
    this.#now = now
    this.#onDropped = onDropped
  }

  /** Events lost because the database did not keep up. */
  get dropped(): number {
    return this.#dropped
  }

  add(kind: ReadKind, fact: Fact, caller: Caller): void {
    if (this.#buffer.length >= EVENTS_BUFFERED_MAX) {
      this.#drop(1)
      return
    }
    this.#buffer.push(eventOf(kind, fact, caller, this.#now()))
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.flush()
    }, FLUSH_INTERVAL_MS).unref()
  }

  #drop(events: number): void {
    this.#dropped += events
    this.#onDropped(events)
  }

  /** Writes what is buffered. Never rejects: what cannot be written is counted as dropped, and logged. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#writeAll())
    return this.#flushing
  }

  async #writeAll(): Promise<void> {
    const events = this.#buffer
    this.#buffer = []
    for (let start = 0; start < events.length; start += EVENTS_PER_TRANSACTION) {
      const batch = events.slice(start, start + EVENTS_PER_TRANSACTION)
      try {
        await this.#db.transaction(
          async (tx) => {
            await insertEvents(tx, batch)
            for (const pulls of pullsIn(batch)) await addPulls(tx, pulls)
          },
          { durable: false, locks: NO_LOCKS },
        )
      } catch (error) {
        this.#drop(batch.length)
        this.#log.warn('read events were dropped', { events: batch.length, error: String(error) })
      }
      await yieldToLoop()
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.flush()
  }
}

/** Of manifests and of tags, summed up; in one order everywhere, so that two processes cannot wait for each other. */
function pullsIn(events: readonly NewEvent[]): Pulls[] {
  const sums = new Map<string, { repository: string; name: string; at: number; count: number }>()
  for (const { kind, repository, digest, tag, at } of events) {
    if (kind !== 'manifest.pulled') continue
    for (const name of [digest, tag]) {
      if (name === null) continue
      const key = `${repository} ${name}`
      const sum = sums.get(key)
      if (sum) {
        sum.count += 1
        sum.at = Math.max(sum.at, at)
      } else sums.set(key, { repository, name, at, count: 1 })
    }
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum)
}
