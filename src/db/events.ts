// The events: one row a fact, in the order of the commits; and how far each subscriber has come.
import { type Executor, hot, type Transaction } from '#db/db.ts'

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
  }),
)

const after = hot<{ id: number; limit: number }>()((db, p) =>
  db
    .selectFrom('events')
    .select([
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
    ])
    .where('id', '>', p.id)
    .orderBy('id')
    .limit(p.limit),
)

const cursor = hot<{ name: string }>()((db, p) =>
  db.selectFrom('cursors').select('position').where('name', '=', p.name),
)

const setCursor = hot<{ name: string; position: number }>()((db, p) =>
  db
    .insertInto('cursors')
    .values({ name: p.name, position: p.position })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet((set) => ({ position: set.ref('excluded.position') })),
    ),
)

const newest = hot<Record<never, never>>()((db) =>
  db.selectFrom('events').select(['id', 'at']).orderBy('id', 'desc').limit(1),
)

const touched = hot<{ repository: string; after: number }>()((db, p) =>
  db
    .selectFrom('events')
    .select(['kind', 'digest', 'tag'])
    .distinct()
    .where('repository', '=', p.repository)
    .where('id', '>', p.after),
)

const firstSince = hot<{ at: number }>()((db, p) =>
  db.selectFrom('events').select('id').where('at', '>=', p.at).orderBy('at').limit(1),
)

export async function insertEvent(tx: Transaction, event: NewEvent): Promise<void> {
  await tx.run(insert, event)
}

/** Events of any kind with a larger id, in order. */
export function eventsAfter(db: Executor, id: number, limit: number): Promise<EventRecord[]> {
  return db.all(after, { id, limit })
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

/** 0 for a subscriber that has not read anything. */
export async function eventCursor(db: Executor, subscriber: string): Promise<number> {
  return (await db.first(cursor, { name: subscriber }))?.position ?? 0
}

export async function setEventCursor(tx: Transaction, subscriber: string, position: number): Promise<void> {
  await tx.run(setCursor, { name: subscriber, position })
}

/** Which digests and tags of a repository an event has named since. */
export function touchedSince(
  db: Executor,
  repository: string,
  afterId: number,
): Promise<{ kind: string; digest: string | null; tag: string | null }[]> {
  return db.all(touched, { repository, after: afterId })
}

/**
 * Deletes events of the kinds older than a time that every subscriber has read, at most `limit` of them;
 * resolves to how many.
 */
export async function pruneEvents(
  tx: Transaction,
  prune: { readonly kinds: readonly string[]; readonly before: number; readonly limit: number },
): Promise<number> {
  const unread = tx.kysely.selectFrom('cursors').select((select) => select.fn.min('position').as('position'))
  const result = await tx.kysely
    .deleteFrom('events')
    .where('id', 'in', (query) =>
      query
        .selectFrom('events')
        .select('id')
        .where('at', '<', prune.before)
        .where('kind', 'in', prune.kinds)
        .where((where) => where('id', '<=', where.fn.coalesce(unread, where.lit(0))))
        .orderBy('at')
        .limit(prune.limit),
    )
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}
