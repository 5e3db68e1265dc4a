// Read events: kept in memory and written in batches, so that no pull waits for the database.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { Db } from '#db/db.ts'
import { insertEvent, type NewEvent } from '#db/events.ts'
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
            for (const event of batch) await insertEvent(tx, event)
          },
          { durable: false },
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
