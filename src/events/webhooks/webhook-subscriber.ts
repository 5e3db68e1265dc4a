// Takes the events from the outbox and keeps for each webhook what concerns it, in one transaction a batch: from then on the event
// may be forgotten, and the receiver may be away for days.
import type { Db, Transaction } from '#db/db.ts'
import type { EventRecord } from '#db/events.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { addDeliveries, type NewDelivery } from '#db/webhook-deliveries.ts'
import { type ProjectWebhook, webhooksInForce } from '#db/webhooks.ts'
import type { Subscriber } from '#events/dispatch.ts'
import { projectOf } from '#identity/account-name.ts'
import { matchesGlob } from '#lib/glob.ts'

/** Names the cursor. */
export const WEBHOOKS = 'webhooks'
/** Rows of one transaction; a batch of events with many webhooks takes several. */
const DELIVERIES_PER_TRANSACTION = 500

export interface WebhookSubscriberOptions {
  readonly db: Db
  /** Components of a repository's name that can name its project. */
  readonly projectDepth: number
  /** Pulls are most of the events: they are read only where somebody wants them. */
  readonly writesOnly: boolean
  readonly onAdded: () => void
}

export function webhookSubscriber({
  db,
  projectDepth,
  writesOnly,
  onAdded,
}: WebhookSubscriberOptions): Subscriber {
  return {
    name: WEBHOOKS,
    writesOnly,
    async handle(events) {
      const webhooks = await webhooksInForce(db)
      const deliveries = events.flatMap((event) =>
        webhooks
          .filter((webhook) => wants(webhook, event, projectDepth))
          .map((webhook) => deliveryOf(webhook, event)),
      )
      for (let at = 0; at < deliveries.length; at += DELIVERIES_PER_TRANSACTION) {
        const some = deliveries.slice(at, at + DELIVERIES_PER_TRANSACTION)
        await db.transaction((tx: Transaction) => addDeliveries(tx, some), {
          // The cursor moves after this, and must not survive what it speaks of.
          durable: true,
          mayUseReserve: true,
          locks: NO_LOCKS,
        })
      }
      if (deliveries.length > 0) onAdded()
    },
  }
}

function wants(
  webhook: ProjectWebhook,
  { id, kind, repository }: EventRecord,
  projectDepth: number,
): boolean {
  return (
    id > webhook.afterEvent &&
    webhook.kinds.includes(kind) &&
    projectOf(repository, projectDepth) === webhook.project &&
    matchesGlob(webhook.repository, repository)
  )
}

function deliveryOf({ id: webhookId }: ProjectWebhook, event: EventRecord): NewDelivery {
  return { webhookId, lane: event.repository, eventId: event.id, event: JSON.stringify(event) }
}
