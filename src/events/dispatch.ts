// Hands the events to a subscriber in order, at least once, from where it stopped: also after a crash.
//
// One process delivers at a time: it holds the lease of the subscriber's cursor. When it dies the lease runs out, or
// its neighbours see that it is gone, and the next that looks goes on.
import { setTimeout as wait, setImmediate as yieldToLoop } from 'node:timers/promises'
import type { Db } from '#db/db.ts'
import { advanceEventCursor, claimEventCursor, eventCursor, releaseEventCursor } from '#db/event-cursors.ts'
import {
  countWriteEventsAfter,
  type EventRecord,
  eventHorizon,
  eventsAfter,
  writeEventsAfter,
} from '#db/events.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { Mutex } from '#lib/mutex.ts'
import { isGone, newProcessName } from '#lib/process-name.ts'
import type { Log } from '#telemetry/log.ts'

const EVENTS_PER_BATCH = 500
const GATHER_MS = 50
const RETRY_FIRST_MS = 1_000
const RETRY_LAST_MS = 60_000
/** How long a process that died keeps the others from delivering. */
const LEASE_MS = 30_000
/** A lease that is older than this is made longer before the next batch. */
const RENEW_AFTER_MS = 10_000
/** Who waits for what another process delivers looks so often. */
const LOOK_MS = 100
/** Also on a full disk: who deletes to collect garbage from the link files needs them to be in step. */
const CURSOR = { durable: false, mayUseReserve: true, locks: NO_LOCKS } as const

export interface Subscriber {
  /** Names its cursor. */
  readonly name: string
  /** Pulls are not handed over; they count as seen. */
  readonly writesOnly?: boolean
  /** The pause after a first failure; a second when undefined. */
  readonly retryFirstMs?: number
  /**
   * Must be idempotent: after a crash it sees its last batch again. A rejection is retried, with growing pauses. Where it stops
   * before the end it says after which event; the others are handed over next.
   */
  handle(events: readonly EventRecord[], stopAfter: (id: number) => void): Promise<void>
}

export class Dispatcher {
  readonly #db: Db
  readonly #subscriber: Subscriber
  readonly #log: Log
  readonly #mutex = new Mutex()
  readonly #holder = newProcessName()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #closed = false
  #retryMs: number
  /** Undefined while another process holds the lease, or nobody has asked. */
  #position: number | undefined
  #claimedAt = Number.NEGATIVE_INFINITY

  constructor(db: Db, subscriber: Subscriber, log: Log) {
    this.#db = db
    this.#subscriber = subscriber
    this.#log = log
    this.#retryMs = this.#retryFirstMs
  }

  get #retryFirstMs(): number {
    return this.#subscriber.retryFirstMs ?? RETRY_FIRST_MS
  }

  /** Says that there may be new events. Cheap: wakes are gathered for a moment. */
  wake(): void {
    this.#again = true
    if (this.#closed || this.#running || this.#timer) return
    this.#schedule(GATHER_MS)
  }

  /** Every event up to this id has been handled by this process; undefined before it delivered any, or when another does. */
  get position(): number | undefined {
    return this.#position
  }

  /** Events for the subscriber that it has not seen, whoever delivers. */
  async lag(): Promise<number> {
    const position = await eventCursor(this.#db, this.#subscriber.name)
    if (this.#subscriber.writesOnly) return countWriteEventsAfter(this.#db, position)
    return Math.max(0, (await eventHorizon(this.#db)) - position)
  }

  /**
   * Resolves when the subscriber has seen every event that was there at the call, whoever delivered them; rejects when it
   * fails here.
   */
  async drain(): Promise<void> {
    await this.#running
    const wanted = await eventHorizon(this.#db)
    while (!(await this.#pump())) {
      if (this.#closed || (await eventCursor(this.#db, this.#subscriber.name)) >= wanted) return
      await wait(LOOK_MS)
    }
  }

  /** Delivers what is left, once, unless another process does, and stops. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#running
    try {
      await this.#pump()
      if (this.#position === undefined) return
      const { name } = this.#subscriber
      await this.#db.transaction((tx) => releaseEventCursor(tx, name, this.#holder), CURSOR)
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
      this.#retryMs = this.#retryFirstMs
    } catch (error) {
      this.#log.error('a subscriber failed and is tried again', {
        subscriber: this.#subscriber.name,
        retryMs: this.#retryMs,
        error: String(error),
      })
      if (!this.#closed) this.#schedule(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, Math.max(RETRY_LAST_MS, this.#retryFirstMs))
    }
  }

  /** One delivery at a time, whoever asks for it. False when another process delivers. */
  #pump(): Promise<boolean> {
    return this.#mutex.run(() => this.#deliver())
  }

  async #deliver(): Promise<boolean> {
    const read = this.#subscriber.writesOnly ? writeEventsAfter : eventsAfter
    for (;;) {
      const position = await this.#claim()
      if (position === undefined) return false
      // Asked before the events are: whatever they leave out up to here is not for this subscriber.
      const horizon = await eventHorizon(this.#db)
      if (horizon <= position) return true
      const events = await read(this.#db, position, EVENTS_PER_BATCH)
      const last = events.at(-1)
      let upTo = last?.id
      if (last) {
        await this.#subscriber.handle(events, (id) => {
          upTo = id
        })
      }
      const isPart = upTo !== last?.id || events.length === EVENTS_PER_BATCH
      const seen = upTo !== undefined && (isPart || upTo > horizon) ? upTo : horizon
      const step = { name: this.#subscriber.name, holder: this.#holder, from: position, to: seen }
      const isOurs = await this.#db.transaction((tx) => advanceEventCursor(tx, step), CURSOR)
      // Otherwise another process took over while this one handled, or somebody set the cursor: the next claim tells.
      this.#position = isOurs ? seen : undefined
      // Nothing above waits for the disk, so a long backlog would keep everybody else waiting.
      await yieldToLoop()
    }
  }

  /** The cursor, while the lease is ours; undefined while it is another's. */
  async #claim(): Promise<number | undefined> {
    const at = performance.now()
    if (this.#position !== undefined && at - this.#claimedAt < RENEW_AFTER_MS) return this.#position
    const claim = { name: this.#subscriber.name, holder: this.#holder, forMs: LEASE_MS, isGone }
    this.#position = await this.#db.transaction((tx) => claimEventCursor(tx, claim), CURSOR)
    this.#claimedAt = at
    return this.#position
  }
}
