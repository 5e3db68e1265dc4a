// Webhooks while there are any: a registry without them reads no event for them, and keeps none.
import type { Db, Transaction } from '#db/db.ts'
import { deleteEventCursor, eventSubscribers } from '#db/event-cursors.ts'
import { countDeliveries } from '#db/webhook-deliveries.ts'
import { anyWebhook, webhooksInForce } from '#db/webhooks.ts'
import { Dispatcher } from '#events/dispatch.ts'
import { READ_KINDS } from '#events/kinds.ts'
import { Deliverer, type DelivererOptions } from '#events/webhooks/deliverer.ts'
import { WEBHOOKS, webhookSubscriber } from '#events/webhooks/webhook-subscriber.ts'
import type { Log } from '#telemetry/log.ts'

/** How long a change of webhooks may take to be heard of; nothing that happens meanwhile is lost. */
const LOOK_MS = 2_000

export interface WebhooksOptions extends DelivererOptions {
  readonly projectDepth: number
}

export class Webhooks {
  readonly #db: Db
  readonly #log: Log
  readonly #options: WebhooksOptions
  readonly #timer: NodeJS.Timeout
  #telling:
    | { readonly dispatcher: Dispatcher; readonly deliverer: Deliverer; readonly writesOnly: boolean }
    | undefined
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  private constructor(options: WebhooksOptions) {
    this.#db = options.db
    this.#log = options.log
    this.#options = options
    this.#timer = setInterval(() => this.#lookSoon(), LOOK_MS).unref()
  }

  static async open(options: WebhooksOptions): Promise<Webhooks> {
    const webhooks = new Webhooks(options)
    await webhooks.lookAgain()
    return webhooks
  }

  /** Says that there may be new events. */
  wake(): void {
    this.#telling?.dispatcher.wake()
  }

  /** What waits for receivers. */
  pending(): Promise<number> {
    return countDeliveries(this.#db, 'pending')
  }

  /** Looks which webhooks there are. */
  async lookAgain(): Promise<void> {
    if (!(await anyWebhook(this.#db))) {
      await this.#stop()
      if ((await eventSubscribers(this.#db, WEBHOOKS)).length > 0) await this.#forgetCursor()
      return
    }
    const wanted = await webhooksInForce(this.#db)
    const writesOnly = !wanted.some(({ kinds }) => READ_KINDS.some((kind) => kinds.includes(kind)))
    if (this.#telling?.writesOnly !== writesOnly) {
      await this.#stop()
      this.#start(writesOnly)
    }
    // Pulls are written in batches by whichever process served them.
    this.wake()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#looking
    await this.#stop()
  }

  #lookSoon(): void {
    this.#looking = this.#looking
      .then(() => (this.#isClosed ? undefined : this.lookAgain()))
      .catch((error) => this.#log.warn('webhooks could not be looked up', { error: String(error) }))
  }

  #start(writesOnly: boolean): void {
    if (this.#isClosed) return
    const { db, projectDepth } = this.#options
    const deliverer = new Deliverer(this.#options)
    const subscriber = webhookSubscriber({ db, projectDepth, writesOnly, onAdded: () => deliverer.wake() })
    const dispatcher = new Dispatcher(db, subscriber, this.#log)
    deliverer.start()
    this.#telling = { dispatcher, deliverer, writesOnly }
  }

  async #stop(): Promise<void> {
    const telling = this.#telling
    this.#telling = undefined
    await telling?.dispatcher.close()
    await telling?.deliverer.close()
  }

  /** Otherwise events would be kept for nobody. */
  async #forgetCursor(): Promise<void> {
    const forget = async (tx: Transaction) => {
      if (!(await anyWebhook(tx))) await deleteEventCursor(tx, WEBHOOKS)
    }
    await this.#db.transaction(forget, { mayUseReserve: true })
  }
}
