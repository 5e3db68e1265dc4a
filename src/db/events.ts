// The events: one row a fact, in the order of the commits.
import { sql } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { horizonOf, insertHeld } from '#db/postgres/event-order.ts'
import { asStorableJson } from '#db/postgres/storable.ts'

export interface NewEvent {
  readonly at: number
  readonly kind: string
  readonly repository: string
  readonly digest: string | null
  readonly tag: string | null
  readonly mediaType: string | null
  readonly size: number | null
  readonly fromRepository: string | null
  readonly actor: string | null
  readonly remote: string | null
  readonly userAgent: string | null
  readonly requestId: string | null
  readonly durationMs: number | null
  /** Of the request; null for work of our own. */
  readonly method: string | null
  /** Scheme and authority by which the client named us: `https://registry.example.com`. */
  readonly origin: string | null
}

export interface EventRecord extends NewEvent {
  readonly id: number
}
const insert = hot<NewEvent>()((db, p) =>
  db.insertInto('events').values({
    at: p.at,
    kind: p.kind,
    repository: p.repository,
    digest: p.digest,
    tag: p.tag,
    media_type: p.mediaType,
    size: p.size,
    from_repository: p.fromRepository,
    actor: p.actor,
    remote: p.remote,
    user_agent: p.userAgent,
    request_id: p.requestId,
    duration_ms: p.durationMs,
    method: p.method,
    origin: p.origin,
  }),
)

const COLUMNS = [
  'id',
  'at',
  'kind',
  'repository',
  'digest',
  'tag',
  'media_type as mediaType',
  'size',
  'from_repository as fromRepository',
  'actor',
  'remote',
  'user_agent as userAgent',
  'request_id as requestId',
  'duration_ms as durationMs',
  'method',
  'origin',
] as const

/** Word for word the condition of the index events_writes: pulls, which are most of the rows, are not looked at. */
const IS_WRITE = sql<boolean>`kind not in ('blob.pulled', 'manifest.pulled')`

interface Range {
  readonly id: number
  readonly last: number
  readonly limit: number
}

const after = hot<Range>()((db, p) =>
  db
    .selectFrom('events')
    .select(COLUMNS)
    .where('id', '>', p.id)
    .where('id', '<=', p.last)
    .orderBy('id')
    .limit(p.limit),
)

const writesAfter = hot<Range>()((db, p) =>
  db
    .selectFrom('events')
    .select(COLUMNS)
    .where('id', '>', p.id)
    .where('id', '<=', p.last)
    .where(IS_WRITE)
    .orderBy('id')
    .limit(p.limit),
)

const countWrites = hot<{ id: number }>()((db, p) =>
  db
    .selectFrom('events')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('id', '>', p.id)
    .where(IS_WRITE),
)

const newest = hot<Record<never, never>>()((db) =>
  db.selectFrom('events').select(['id', 'at']).orderBy('id', 'desc').limit(1),
)

const firstSince = hot<{ at: number }>()((db, p) =>
  db.selectFrom('events').select('id').where('at', '>=', p.at).orderBy('at').limit(1),
)

export function insertEvent(tx: Transaction, event: NewEvent): Promise<void> {
  return insertEvents(tx, [event])
}

/** Their ids are in the order of the list. */
export async function insertEvents(tx: Transaction, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  if (tx.engine === 'postgres') await tx.run(insertHeld, { events: asStorableJson(events) })
  else for (const event of events) await tx.run(insert, event)
}

/**
 * The last id that may be read: no event that is committed later has this id or a smaller one. Whoever remembers how far he
 * has read goes no further. 0 when there are none.
 */
export function eventHorizon(db: Executor): Promise<number> {
  // One writer: ids are given in the order of the commits.
  return db.engine === 'postgres' ? horizonOf(db) : newestEventId(db)
}

/** Events of any kind with a larger id, in order, up to the horizon. */
export async function eventsAfter(db: Executor, id: number, limit: number): Promise<EventRecord[]> {
  return db.all(after, { id, limit, last: await eventHorizon(db) })
}

/** Events of writes with a larger id, in order, up to the horizon. */
export async function writeEventsAfter(db: Executor, id: number, limit: number): Promise<EventRecord[]> {
  return db.all(writesAfter, { id, limit, last: await eventHorizon(db) })
}

/** How many events of writes have a larger id. */
export async function countWriteEventsAfter(db: Executor, id: number): Promise<number> {
  return Number((await db.first(countWrites, { id }))?.count ?? 0)
}

/** The last event; undefined when there are none. */
export async function newestEvent(db: Executor): Promise<{ id: number; at: number } | undefined> {
  return db.first(newest, {})
}

/** 0 when there are none. */
export async function newestEventId(db: Executor): Promise<number> {
  return (await db.first(newest, {}))?.id ?? 0
}

/** Id of the earliest event at or after a time; undefined when there is none. */
export async function firstEventSince(db: Executor, at: number): Promise<number | undefined> {
  return (await db.first(firstSince, { at }))?.id
}

/**
 * Deletes events of the kinds older than a time that every subscriber has read, at most `limit` of them;
 * resolves to how many. A subscriber is waited for from its first cursor on; where there are none nobody is.
 */
export async function pruneEvents(
  tx: Transaction,
  prune: { readonly kinds: readonly string[]; readonly before: number; readonly limit: number },
): Promise<number> {
  const read = tx.kysely.selectFrom('cursors').select((select) => select.fn.min('position').as('position'))
  const result = await tx.kysely
    .deleteFrom('events')
    .where('id', 'in', (query) =>
      query
        .selectFrom('events')
        .select('id')
        .where('at', '<', prune.before)
        .where('kind', 'in', prune.kinds)
        .where((where) => where('id', '<=', where.fn.coalesce(read, 'id')))
        .orderBy('at')
        .limit(prune.limit),
    )
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}
