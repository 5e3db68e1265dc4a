// Tells webhooks what waits for them: lane by lane, a lane in order, and the next only when the one before was taken or given up.
// A process has a lane for as long as it tells; when it dies the lane is free again after a while, and the last one may be told
// twice. Nothing here waits for a receiver but its own lane.
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import {
  type Attempt,
  addedTo,
  claimLanes,
  type DeliveryRecord,
  type LaneClaim,
  noteAttempt,
  pendingIn,
  pruneDeliveries,
  releaseLane,
} from '#db/webhook-deliveries.ts'
import { type WebhookRecord, webhookById } from '#db/webhooks.ts'
import type { EventSource } from '#events/notifications/envelope.ts'
import { messageOf, signatureOf, type Told } from '#events/webhooks/message.ts'
import type { Outbound } from '#lib/outbound/outbound.ts'
import { OutboundError } from '#lib/outbound/outbound-error.ts'
import { newProcessName } from '#lib/process-name.ts'
import type { Log } from '#telemetry/log.ts'

const LANES_AT_ONCE = 16
/** Of one webhook: a receiver that hangs must not take the places of the others. */
const LANES_PER_WEBHOOK = 4
const PENDING_PER_LOOK = 20
const LOOK_MS = 1_000
/** A lane is told no longer than this before others get their turn. */
const TURN_MS = 10_000
const TIMEOUT_MS = 10_000
/** Outlasts a turn and one more attempt. */
const LEASE_MS = 60_000
/** What is read of an answer, which nobody looks at: enough to use the connection again. */
const REPLY_BYTES_MAX = 16 * 1024
const BACKOFF_FIRST_MS = 5_000
const BACKOFF_LAST_MS = 15 * 60_000
const PRUNE_MS = 600_000
/** Also on a full disk: what was told must not be told again and again. */
const NOTING = { durable: false, mayUseReserve: true, locks: NO_LOCKS } as const

/** What is sealed of a webhook. */
export interface Unsealed {
  readonly headers: Readonly<Record<string, string>>
  readonly secret: string | undefined
}

export interface DelivererOptions {
  readonly db: Db
  readonly outbound: () => Promise<Outbound>
  readonly unseal: (sealed: string) => Unsealed | undefined
  readonly source: EventSource
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  readonly giveUpMs: number
  readonly keptMs: Readonly<Record<'delivered' | 'dead', number>>
  /** Hears how each attempt ended. */
  readonly onAttempt: (result: 'delivered' | 'failed' | 'dead') => void
}

export class Deliverer {
  readonly #options: DelivererOptions
  readonly #holder = newProcessName()
  readonly #closing = new AbortController()
  readonly #running = new Map<string, { readonly webhookId: number; readonly done: Promise<void> }>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #again = false
  #prunedAt = performance.now()

  constructor(options: DelivererOptions) {
    this.#options = options
  }

  /** Begins to look; what waits since an earlier run is told now. */
  start(): void {
    this.#timer ??= setInterval(() => this.wake(), LOOK_MS).unref()
    this.wake()
  }

  wake(): void {
    if (this.#closing.signal.aborted) return
    if (this.#looking) {
      this.#again = true
      return
    }
    this.#again = false
    this.#looking = this.#look()
      .catch((error) => this.#options.log.warn('webhooks wait', { error: String(error) }))
      .finally(() => {
        this.#looking = undefined
        if (this.#again) this.wake()
      })
  }

  /** What is under way is cut; it is told again at the next start. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing.abort(new Error('the registry stops'))
    await this.#looking
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  async #look(): Promise<void> {
    const { db } = this.#options
    await this.#prune()
    const limit = LANES_AT_ONCE - this.#running.size
    if (limit <= 0) return
    const except = this.#busyWebhooks()
    const claim = { holder: this.#holder, forMs: LEASE_MS, limit, except }
    const lanes = await db.transaction((tx) => claimLanes(tx, claim), NOTING)
    for (const lane of lanes) {
      const key = `${lane.webhookId} ${lane.lane}`
      const isBusy = this.#busyWebhooks().includes(lane.webhookId)
      const done = (isBusy ? this.#giveBack(lane, 0) : this.#tell(lane))
        .catch((error) =>
          this.#options.log.warn('a webhook waits', { webhook: lane.webhookId, error: String(error) }),
        )
        .finally(() => {
          this.#running.delete(key)
          this.wake()
        })
      this.#running.set(key, { webhookId: lane.webhookId, done })
    }
  }

  #busyWebhooks(): number[] {
    const counts = new Map<number, number>()
    for (const { webhookId } of this.#running.values())
      counts.set(webhookId, (counts.get(webhookId) ?? 0) + 1)
    return [...counts].filter(([, count]) => count >= LANES_PER_WEBHOOK).map(([webhookId]) => webhookId)
  }

  async #tell(lane: LaneClaim): Promise<void> {
    const { db } = this.#options
    const until = performance.now() + TURN_MS
    for (;;) {
      const added = await addedTo(db, lane.webhookId, lane.lane)
      const webhook = await webhookById(db, lane.webhookId)
      const pending =
        webhook && !webhook.disabled ? await pendingIn(db, lane.webhookId, lane.lane, PENDING_PER_LOOK) : []
      if (!webhook || pending.length === 0) {
        await db.transaction((tx) => releaseLane(tx, lane, this.#holder, { emptyAt: added }), NOTING)
        return
      }
      for (const delivery of pending) {
        const state = await this.#attempt(webhook, delivery)
        if (state === 'pending') return this.#giveBack(lane, lane.failures + 1)
        if (state === 'lost') return
        if (performance.now() > until || this.#closing.signal.aborted) return this.#giveBack(lane, 0)
      }
    }
  }

  /** Failed so often in a row: the next turn comes later each time. */
  async #giveBack(lane: LaneClaim, failures: number): Promise<void> {
    const { db, random } = this.#options
    const pause = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 20), BACKOFF_LAST_MS)
    const inMs = failures === 0 ? 0 : Math.round(pause * (0.75 + random() / 2))
    await db.transaction((tx) => releaseLane(tx, lane, this.#holder, { inMs, failures }), NOTING)
  }

  async #attempt(webhook: WebhookRecord, delivery: DeliveryRecord): Promise<Attempt['state'] | 'lost'> {
    const { db, now, giveUpMs, onAttempt, log } = this.#options
    const start = performance.now()
    const { status, error } = await this.#send(webhook, delivery)
    if (this.#closing.signal.aborted && error !== null) return 'pending'
    const isOver = delivery.firstTriedAt !== null && now() - delivery.firstTriedAt >= giveUpMs
    const state = error === null ? 'delivered' : isOver ? 'dead' : 'pending'
    const attempt = { state, status, error, durationMs: Math.round(performance.now() - start) } as const
    if (!(await db.transaction((tx) => noteAttempt(tx, this.#holder, delivery, attempt), NOTING)))
      return 'lost'
    onAttempt(state === 'pending' ? 'failed' : state)
    if (state === 'dead')
      log.warn('a webhook was not told of an event, in all the time that there was', {
        webhook: webhook.name,
        delivery: delivery.id,
        status,
      })
    return state
  }

  /** An error of null is a success. What it says is for the owner of the webhook: nothing of what lies behind an address. */
  async #send(webhook: WebhookRecord, delivery: DeliveryRecord): Promise<Pick<Attempt, 'status' | 'error'>> {
    const { unseal, outbound, source, now } = this.#options
    const event = JSON.parse(delivery.event) as Told
    const message = messageOf(event, webhook.format, source)
    // Nothing to say in that format.
    if (!message) return { status: null, error: null }
    const unsealed = unseal(webhook.sealed)
    if (!unsealed) return { status: null, error: 'its headers and secret cannot be read: set them again' }
    try {
      const { status } = await (await outbound()).send({
        url: webhook.url,
        method: 'POST',
        plain: 'listed',
        headers: {
          'User-Agent': 'stowage',
          ...unsealed.headers,
          'Content-Type': message.contentType,
          'Stowage-Event': event.kind,
          'Stowage-Delivery': String(delivery.id),
          ...(unsealed.secret !== undefined && {
            'Stowage-Signature': signatureOf(unsealed.secret, message.body, now()),
          }),
        },
        body: message.body,
        bytesMax: REPLY_BYTES_MAX,
        mayBeCut: true,
        timeoutMs: TIMEOUT_MS,
        signal: this.#closing.signal,
      })
      return { status, error: status >= 200 && status < 300 ? null : `it answers ${status}` }
    } catch (error) {
      return { status: null, error: error instanceof OutboundError ? error.message : 'it cannot be reached' }
    }
  }

  async #prune(): Promise<void> {
    if (performance.now() - this.#prunedAt < PRUNE_MS) return
    this.#prunedAt = performance.now()
    const { db, now, keptMs } = this.#options
    const before = { delivered: now() - keptMs.delivered, dead: now() - keptMs.dead }
    await db.transaction((tx) => pruneDeliveries(tx, before), NOTING)
  }
}
