// The tables of webhooks, as Kysely sees them.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

export type WebhookFormat = 'registry' | 'cloudevents'
export type DeliveryState = 'pending' | 'delivered' | 'dead'

export interface WebhookTable {
  id: Generated<number>
  project_id: Fixed<number>
  name: Fixed<string>
  url: string
  format: WebhookFormat
  /** JSON: kinds of events. */
  kinds: string
  /** A pattern of whole names. */
  repository: string
  /** JSON: what may be shown of the sealed headers. */
  header_names: string
  /** Whether there is a secret. */
  signed: number
  /** Headers and secret, unreadable without the key of this registry. */
  sealed: string
  disabled: number
  /** It hears of what came after this event. */
  after_event: Fixed<number>
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

export interface WebhookDeliveryTable {
  id: Generated<number>
  webhook_id: Fixed<number>
  /** The repository: what is told in order. */
  lane: Fixed<string>
  /** Null for a ping. */
  event_id: Fixed<number | null>
  /** JSON: the event itself, which may be forgotten meanwhile. */
  event: Fixed<string>
  state: DeliveryState
  attempts: ColumnType<number, number | undefined, number>
  created_at: Fixed<number>
  first_tried_at: number | null
  tried_at: number | null
  /** Of the last answer. */
  status: number | null
  error: string | null
  duration_ms: number | null
}

/** Deliveries of one webhook about one repository, while any wait. */
export interface WebhookLaneTable {
  webhook_id: Fixed<number>
  lane: Fixed<string>
  /** Not before, by the clock of the database. */
  next_at: number
  /** In a row. */
  failures: ColumnType<number, number | undefined, number>
  /** Counts what was added: whoever finds the lane empty ends it only if nothing came meanwhile. */
  added: ColumnType<number, number | undefined, number>
  /** Who tells of it now, and until when by the clock of the database. */
  holder: string | null
  held_until: ColumnType<number, number | undefined, number>
}

export interface WebhookTables {
  webhooks: WebhookTable
  webhook_deliveries: WebhookDeliveryTable
  webhook_lanes: WebhookLaneTable
}
