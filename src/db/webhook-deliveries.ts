// What webhooks are to be told, in the order of a lane; each lane is one process's at a time.
import { sql } from 'kysely'
import { databaseNow } from '#db/clock.ts'
import type { Executor, Transaction } from '#db/db.ts'
import type { DeliveryState } from '#db/webhook-schema.ts'

export interface NewDelivery {
  readonly webhookId: number
  readonly lane: string
  /** Null for a ping. */
  readonly eventId: number | null
  /** JSON. */
  readonly event: string
}

export interface DeliveryRecord {
  readonly id: number
  readonly webhookId: number
  readonly lane: string
  readonly event: string
  readonly state: DeliveryState
  readonly attempts: number
  readonly createdAt: number
  readonly firstTriedAt: number | null
  readonly triedAt: number | null
  readonly status: number | null
  readonly error: string | null
  readonly durationMs: number | null
}

const COLUMNS = [
  'id',
  'webhook_id as webhookId',
  'lane',
  'event',
  'state',
  'attempts',
  'created_at as createdAt',
  'first_tried_at as firstTriedAt',
  'tried_at as triedAt',
  'status',
  'error',
  'duration_ms as durationMs',
] as const

/** An event that is there already is not added again. */
export async function addDeliveries(tx: Transaction, deliveries: readonly NewDelivery[]): Promise<void> {
  if (deliveries.length === 0) return
  const now = await databaseNow(tx)
  await tx.kysely
    .insertInto('webhook_deliveries')
    .values(
      deliveries.map(({ webhookId, lane, eventId, event }) => ({
        ...{
          webhook_id: webhookId,
          lane,
          event_id: eventId,
          event,
          state: 'pending' as const,
          created_at: now,
        },
      })),
    )
    .onConflict((conflict) => conflict.columns(['webhook_id', 'event_id']).doNothing())
    .execute()
  const lanes = new Map(
    deliveries.map(({ webhookId, lane }) => [`${webhookId} ${lane}`, { webhookId, lane }]),
  )
  // In one order everywhere, so that two processes cannot wait for each other.
  for (const [, { webhookId, lane }] of [...lanes].sort(([a], [b]) => (a < b ? -1 : 1)))
    await openLane(tx, webhookId, lane, now)
}

async function openLane(tx: Transaction, webhookId: number, lane: string, now: number): Promise<void> {
  await tx.kysely
    .insertInto('webhook_lanes')
    .values({ webhook_id: webhookId, lane, next_at: now })
    .onConflict((conflict) =>
      conflict.columns(['webhook_id', 'lane']).doUpdateSet({ added: sql<number>`webhook_lanes.added + 1` }),
    )
    .execute()
}

export interface LaneClaim {
  readonly webhookId: number
  readonly lane: string
  readonly failures: number
  readonly added: number
}

/** Lanes that are due and nobody's, now this holder's. */
export async function claimLanes(
  tx: Transaction,
  {
    holder,
    forMs,
    limit,
    except,
  }: {
    readonly holder: string
    readonly forMs: number
    readonly limit: number
    readonly except: readonly number[]
  },
): Promise<LaneClaim[]> {
  const now = await databaseNow(tx)
  const due = await tx.kysely
    .selectFrom('webhook_lanes')
    .select(['webhook_id as webhookId', 'lane', 'failures', 'added'])
    .where('next_at', '<=', now)
    .where('held_until', '<=', now)
    .$if(except.length > 0, (query) => query.where('webhook_id', 'not in', except))
    .orderBy('next_at')
    .limit(limit)
    .execute()
  const claimed: LaneClaim[] = []
  for (const lane of due) {
    const { numUpdatedRows } = await tx.kysely
      .updateTable('webhook_lanes')
      .set({ holder, held_until: now + forMs })
      .where('webhook_id', '=', lane.webhookId)
      .where('lane', '=', lane.lane)
      .where('held_until', '<=', now)
      .executeTakeFirst()
    if (numUpdatedRows > 0n) claimed.push(lane)
  }
  return claimed
}

/** The next ones of a lane, in order. */
export async function pendingIn(
  db: Executor,
  webhookId: number,
  lane: string,
  limit: number,
): Promise<DeliveryRecord[]> {
  return db.kysely
    .selectFrom('webhook_deliveries')
    .select(COLUMNS)
    .where('webhook_id', '=', webhookId)
    .where('lane', '=', lane)
    .where('state', '=', 'pending')
    .orderBy('id')
    .limit(limit)
    .execute()
}

export interface Attempt {
  readonly state: DeliveryState
  readonly status: number | null
  readonly error: string | null
  readonly durationMs: number
}

/** False when the lane is another's by now: then he says how it ended. */
export async function noteAttempt(
  tx: Transaction,
  holder: string,
  { id, webhookId, lane, firstTriedAt }: DeliveryRecord,
  attempt: Attempt,
): Promise<boolean> {
  const now = await databaseNow(tx)
  const held = await tx.kysely
    .selectFrom('webhook_lanes')
    .select('holder')
    .where('webhook_id', '=', webhookId)
    .where('lane', '=', lane)
    .where('holder', '=', holder)
    .executeTakeFirst()
  if (!held) return false
  await tx.kysely
    .updateTable('webhook_deliveries')
    .set((set) => ({
      ...{
        state: attempt.state,
        status: attempt.status,
        error: attempt.error,
        duration_ms: attempt.durationMs,
      },
      ...{ tried_at: now, first_tried_at: firstTriedAt ?? now, attempts: set('attempts', '+', 1) },
    }))
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .execute()
  return true
}

/** Gives a lane back: with another turn after a while, or at once; ended where nothing came since it was claimed or looked at. */
export async function releaseLane(
  tx: Transaction,
  { webhookId, lane }: Pick<LaneClaim, 'webhookId' | 'lane'>,
  holder: string,
  turn: { readonly inMs: number; readonly failures: number } | { readonly emptyAt: number },
): Promise<void> {
  const ours = { webhook_id: webhookId, lane, holder }
  if ('emptyAt' in turn) {
    const { numDeletedRows } = await tx.kysely
      .deleteFrom('webhook_lanes')
      .where('webhook_id', '=', ours.webhook_id)
      .where('lane', '=', lane)
      .where('holder', '=', holder)
      .where('added', '=', turn.emptyAt)
      .executeTakeFirst()
    if (numDeletedRows > 0n) return
  }
  const { inMs, failures } = 'emptyAt' in turn ? { inMs: 0, failures: 0 } : turn
  await tx.kysely
    .updateTable('webhook_lanes')
    .set({ holder: null, held_until: 0, next_at: (await databaseNow(tx)) + inMs, failures })
    .where('webhook_id', '=', webhookId)
    .where('lane', '=', lane)
    .where('holder', '=', holder)
    .execute()
}

/** How often something was added to a lane. */
export async function addedTo(db: Executor, webhookId: number, lane: string): Promise<number> {
  const row = await db.kysely
    .selectFrom('webhook_lanes')
    .select('added')
    .where('webhook_id', '=', webhookId)
    .where('lane', '=', lane)
    .executeTakeFirst()
  return row?.added ?? 0
}

export async function deliveryPage(
  db: Executor,
  webhookId: number,
  {
    state,
    before,
    limit,
  }: { readonly state: DeliveryState | undefined; readonly before: number; readonly limit: number },
): Promise<DeliveryRecord[]> {
  return db.kysely
    .selectFrom('webhook_deliveries')
    .select(COLUMNS)
    .where('webhook_id', '=', webhookId)
    .where('id', '<', before)
    .$if(state !== undefined, (query) => query.where('state', '=', state ?? 'pending'))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
}

/** Dead ones wait again, in the place that they had; all of them, or one. Resolves to how many. */
export async function replayDead(
  tx: Transaction,
  webhookId: number,
  id: number | undefined,
): Promise<number> {
  const rows = await tx.kysely
    .updateTable('webhook_deliveries')
    .set({ state: 'pending', attempts: 0, first_tried_at: null })
    .where('webhook_id', '=', webhookId)
    .where('state', '=', 'dead')
    .$if(id !== undefined, (query) => query.where('id', '=', id ?? 0))
    .returning('lane')
    .execute()
  const now = await databaseNow(tx)
  for (const lane of [...new Set(rows.map((row) => row.lane))].sort())
    await openLane(tx, webhookId, lane, now)
  return rows.length
}

/** What waited when the webhook was disabled waits again. */
export async function reopenLanes(tx: Transaction, webhookId: number): Promise<void> {
  const rows = await tx.kysely
    .selectFrom('webhook_deliveries')
    .select('lane')
    .distinct()
    .where('webhook_id', '=', webhookId)
    .where('state', '=', 'pending')
    .orderBy('lane')
    .execute()
  const now = await databaseNow(tx)
  for (const { lane } of rows) await openLane(tx, webhookId, lane, now)
}

/** Ended ones that are older. Resolves to how many. */
export async function pruneDeliveries(
  tx: Transaction,
  before: Readonly<Record<'delivered' | 'dead', number>>,
): Promise<number> {
  let pruned = 0
  for (const state of ['delivered', 'dead'] as const) {
    const { numDeletedRows } = await tx.kysely
      .deleteFrom('webhook_deliveries')
      .where('state', '=', state)
      .where('tried_at', '<', before[state])
      .executeTakeFirst()
    pruned += Number(numDeletedRows)
  }
  return pruned
}

export async function countDeliveries(db: Executor, state: DeliveryState): Promise<number> {
  const row = await db.kysely
    .selectFrom('webhook_deliveries')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('state', '=', state)
    .executeTakeFirst()
  return Number(row?.count ?? 0)
}
