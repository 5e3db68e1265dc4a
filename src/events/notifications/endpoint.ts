// One receiver of notifications: sends it events in order, one a request, and goes on only when it took the last one.
import type { EventRecord } from '#db/events.ts'
import type { Subscriber } from '#events/dispatch.ts'
import {
  ENVELOPE_TYPE,
  type EventSource,
  type Notification,
  notificationOf,
} from '#events/notifications/envelope.ts'

export interface EndpointOptions {
  readonly name: string
  readonly url: string
  /** Several values of one header are joined by commas. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** For one attempt. */
  readonly timeoutMs: number
  /** Attempts in a row that fail before the first pause. */
  readonly threshold: number
  /** The first pause; each that follows is twice as long, up to a minute. */
  readonly backoffMs: number
  readonly ignoredMediaTypes: ReadonlySet<string>
  readonly ignoredActions: ReadonlySet<string>
}

/** Names the cursor, before the name of the endpoint. */
export const CURSOR_PREFIX = 'notifications:'
/** After this the cursor is written, well within the lease of the dispatcher. */
const TURN_MS = 10_000
/** Keeps a turn and one more attempt within that lease. */
export const TIMEOUT_MS_MAX = 15_000
/** For what is left when the registry stops. */
const LAST_TURN_MS = 2_000

export class Endpoint implements Subscriber {
  readonly name: string
  readonly writesOnly: boolean
  readonly retryFirstMs: number
  readonly #options: EndpointOptions
  readonly #source: EventSource
  readonly #onFailure: () => void
  readonly #headers: Headers
  readonly #url: URL
  /** It failed `threshold` times in a row: until it takes something, one attempt at a time. */
  #isDown = false
  readonly #closing = new AbortController()
  /** When whatever is not sent by then is left for the next start. */
  #closeBy = Number.POSITIVE_INFINITY

  /** `onFailure` hears of each attempt that failed. */
  constructor(options: EndpointOptions, source: EventSource, onFailure: () => void) {
    this.#options = options
    this.#source = source
    this.#onFailure = onFailure
    this.name = CURSOR_PREFIX + options.name
    this.writesOnly = options.ignoredActions.has('pull')
    this.retryFirstMs = options.backoffMs
    this.#url = new URL(options.url)
    this.#headers = headersOf(options, this.#url)
    // fetch takes no address with credentials in it.
    this.#url.username = ''
    this.#url.password = ''
  }

  /** From now on nothing is waited for that could hold up a stop. */
  closing(): void {
    this.#closeBy = performance.now() + LAST_TURN_MS
    setTimeout(() => this.#closing.abort(new Error('the registry stops')), LAST_TURN_MS).unref()
  }

  get #isClosing(): boolean {
    return this.#closeBy < Number.POSITIVE_INFINITY
  }

  /** @throws Error when the receiver does not take the first of them */
  async handle(events: readonly EventRecord[], stopAfter: (id: number) => void): Promise<void> {
    if (performance.now() > this.#closeBy) throw new Error('the registry stops')
    const until = Math.min(performance.now() + TURN_MS, this.#closeBy)
    let taken: number | undefined
    for (const event of events) {
      const notification = this.#wanted(event)
      if (notification) {
        // What was taken is remembered before anything else is tried.
        if (taken !== undefined && performance.now() > until) return stopAfter(taken)
        try {
          await this.#send(notification, until)
        } catch (error) {
          if (taken !== undefined) return stopAfter(taken)
          throw error
        }
      }
      taken = event.id
    }
  }

  #wanted(event: EventRecord): Notification | undefined {
    const notification = notificationOf(event, this.#source)
    if (!notification || this.#options.ignoredActions.has(notification.action)) return undefined
    const { mediaType } = notification
    return mediaType !== undefined && this.#options.ignoredMediaTypes.has(mediaType)
      ? undefined
      : notification
  }

  async #send({ body }: Notification, until: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#attempt(body)
        this.#isDown = false
        return
      } catch (error) {
        this.#onFailure()
        const isOver = this.#isClosing || this.#isDown || performance.now() > until
        if (isOver || attempt >= this.#options.threshold) {
          this.#isDown = true
          throw error
        }
      }
    }
  }

  async #attempt(body: string): Promise<void> {
    const response = await fetch(this.#url, {
      method: 'POST',
      redirect: 'manual',
      headers: this.#headers,
      body,
      signal: AbortSignal.any([AbortSignal.timeout(this.#options.timeoutMs), this.#closing.signal]),
    }).catch((error: unknown) => {
      throw new Error(`the endpoint ${this.#options.name} cannot be reached: ${reasonOf(error)}`)
    })
    // What it says is of no interest, and may be endless.
    await response.body?.cancel().catch(() => {})
    // A redirect counts as taken, as with registry:2.
    if (response.status >= 400)
      throw new Error(`the endpoint ${this.#options.name} answers ${response.status}`)
  }
}

function headersOf({ headers }: EndpointOptions, { username, password }: URL): Headers {
  const sent = new Headers({ 'User-Agent': 'stowage' })
  if (username !== '') {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    sent.set('Authorization', `Basic ${Buffer.from(pair).toString('base64')}`)
  }
  for (const [name, values] of Object.entries(headers)) sent.set(name, values.join(', '))
  sent.set('Content-Type', ENVELOPE_TYPE)
  return sent
}

/** fetch tells the reason in the cause of its error. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
