// registry:2's `notifications`, out of the events that are kept: a receiver that is away loses nothing, also when the
// registry is started again meanwhile. Each endpoint has a cursor, and events are kept until every cursor is past them.
import type { Db, Transaction } from '#db/db.ts'
import { beginEventCursor, deleteEventCursor, eventSubscribers } from '#db/event-cursors.ts'
import { newestEventId } from '#db/events.ts'
import { Dispatcher } from '#events/dispatch.ts'
import { CURSOR_PREFIX, Endpoint, type EndpointOptions } from '#events/notifications/endpoint.ts'
import type { EventSource } from '#events/notifications/envelope.ts'
import type { Log } from '#telemetry/log.ts'

/** Pulls are written in batches by whichever process served them: they are looked for so often. */
const LOOK_MS = 1_000

export interface NotifierOptions {
  readonly db: Db
  readonly endpoints: readonly EndpointOptions[]
  readonly source: EventSource
  readonly log: Log
  /** Hears of each attempt that failed. */
  readonly onFailure: () => void
}

export class Notifier {
  readonly #endpoints: readonly Endpoint[]
  readonly #dispatchers: readonly Dispatcher[]
  readonly #timer: NodeJS.Timeout

  private constructor(endpoints: readonly Endpoint[], dispatchers: readonly Dispatcher[]) {
    this.#endpoints = endpoints
    this.#dispatchers = dispatchers
    this.#timer = setInterval(() => this.wake(), LOOK_MS).unref()
  }

  /**
   * An endpoint that is new hears of what happens from now on; one that is configured no more is forgotten, so that nothing is
   * kept for it. Undefined when there is none.
   */
  static async open({
    db,
    endpoints,
    source,
    log,
    onFailure,
  }: NotifierOptions): Promise<Notifier | undefined> {
    const opened = endpoints.map((options) => new Endpoint(options, source, onFailure))
    const names = new Set(opened.map(({ name }) => name))
    const known = await eventSubscribers(db, CURSOR_PREFIX)
    const isInStep = known.length === names.size && known.every((name) => names.has(name))
    const begin = async (tx: Transaction) => {
      const newest = await newestEventId(tx)
      for (const name of known) if (!names.has(name)) await deleteEventCursor(tx, name)
      for (const name of names) await beginEventCursor(tx, name, newest)
    }
    if (!isInStep) await db.transaction(begin, { mayUseReserve: true })
    if (opened.length === 0) return undefined
    return new Notifier(
      opened,
      opened.map((endpoint) => new Dispatcher(db, endpoint, log)),
    )
  }

  /** Says that there may be new events. */
  wake(): void {
    for (const dispatcher of this.#dispatchers) dispatcher.wake()
  }

  /** Events that the endpoint which is furthest behind has not been told of. */
  async lag(): Promise<number> {
    return Math.max(0, ...(await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.lag()))))
  }

  /** Sends what is left for two seconds; the rest is left for the next start. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const endpoint of this.#endpoints) endpoint.closing()
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.close()))
  }
}
