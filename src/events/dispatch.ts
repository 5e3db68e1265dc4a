// Hands the events to a subscriber in order, at least once, from where it stopped: also after a crash.
import type { Db } from '#db/db.ts'
import { type EventRecord, eventCursor, eventsAfter, newestEventId, setEventCursor } from '#db/events.ts'
import { Mutex } from '#lib/mutex.ts'
import type { Log } from '#telemetry/log.ts'

const EVENTS_PER_BATCH = 500
const GATHER_MS = 50
const RETRY_FIRST_MS = 1_000
const RETRY_LAST_MS = 60_000

export interface Subscriber {
  /** Names its cursor. */
  readonly name: string
  /** Must be idempotent: after a crash it sees its last batch again. A rejection is retried, with growing pauses. */
  handle(events: readonly EventRecord[]): Promise<void>
}

export class Dispatcher {
  readonly #db: Db
  readonly #subscriber: Subscriber
  readonly #log: Log
  readonly #mutex = new Mutex()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #closed = false
  #retryMs = RETRY_FIRST_MS
  #position: number | undefined

  constructor(db: Db, subscriber: Subscriber, log: Log) {
    this.#db = db
    this.#subscriber = subscriber
    this.#log = log
  }

  /** Says that there may be new events. Cheap: wakes are gathered for a moment. */
  wake(): void {
    this.#again = true
    if (this.#closed || this.#running || this.#timer) return
    this.#schedule(GATHER_MS)
  }

  /** Events that the subscriber has not seen. */
  async lag(): Promise<number> {
    return (
      (await newestEventId(this.#db)) -
      (this.#position ?? (await eventCursor(this.#db, this.#subscriber.name)))
    )
  }

  /** Resolves when the subscriber has seen every event that was there at the call; rejects when it fails. */
  async drain(): Promise<void> {
    await this.#running
    await this.#pump()
  }

  /** Delivers what is left, once, and stops. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#running
    try {
      await this.#pump()
    } catch (error) {
      this.#log.warn('events are left for the next start', {
        subscriber: this.#subscriber.name,
        error: String(error),
      })
    }
  }

  #schedule(afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#run().finally(() => {
        this.#running = undefined
        if (this.#again && !this.#closed && !this.#timer) this.#schedule(GATHER_MS)
      })
    }, afterMs).unref()
  }

  async #run(): Promise<void> {
    this.#again = false
    try {
      await this.#pump()
      this.#retryMs = RETRY_FIRST_MS
    } catch (error) {
      this.#log.error('a subscriber failed and is tried again', {
        subscriber: this.#subscriber.name,
        retryMs: this.#retryMs,
        error: String(error),
      })
      if (!this.#closed) this.#schedule(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LAST_MS)
    }
  }

  /** One delivery at a time, whoever asks for it. */
  #pump(): Promise<void> {
    return this.#mutex.run(() => this.#deliver())
  }

  async #deliver(): Promise<void> {
    this.#position ??= await eventCursor(this.#db, this.#subscriber.name)
    for (;;) {
      const events = await eventsAfter(this.#db, this.#position, EVENTS_PER_BATCH)
      const last = events.at(-1)
      if (!last) return
      await this.#subscriber.handle(events)
      await this.#db.transaction((tx) => setEventCursor(tx, this.#subscriber.name, last.id), {
        durable: false,
      })
      this.#position = last.id
    }
  }
}
