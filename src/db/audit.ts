// The audit log: entries, the chain that seals them, signed checkpoints, the keys that sign.
import type { AuditCheckpointTable, AuditResult } from '#db/audit-schema.ts'
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface NewAuditEntry {
  readonly at: number
  readonly until: number | null
  readonly count: number
  readonly action: string
  readonly result: AuditResult
  readonly actor: string | null
  readonly target: string | null
  readonly project: string | null
  /** JSON object; null for none. */
  readonly detail: string | null
  readonly remote: string | null
  readonly userAgent: string | null
  readonly requestId: string | null
}

export interface AuditEntryRecord extends NewAuditEntry {
  readonly id: number
  readonly position: number | null
  readonly hash: string | null
}

export interface AuditCheckpointRecord {
  readonly position: number
  readonly hash: string
  readonly at: number
  readonly kind: AuditCheckpointTable['kind']
  readonly kid: string
  readonly signature: string
}

export interface AuditKeyRecord {
  readonly kid: string
  /** JSON Web Keys, as JSON. */
  readonly privateJwk: string
  readonly publicJwk: string
  readonly createdAt: number
}

const COLUMNS = [
  'id',
  'position',
  'hash',
  'at',
  'until',
  'count',
  'action',
  'result',
  'actor',
  'target',
  'project',
  'detail',
  'remote',
  'user_agent as userAgent',
  'request_id as requestId',
] as const

interface Place {
  readonly position: number | null
  readonly hash: string | null
}

const insert = hot<NewAuditEntry & Place>()((db, p) =>
  db.insertInto('audit_entries').values({
    position: p.position,
    hash: p.hash,
    at: p.at,
    until: p.until,
    count: p.count,
    action: p.action,
    result: p.result,
    actor: p.actor,
    target: p.target,
    project: p.project,
    detail: p.detail,
    remote: p.remote,
    user_agent: p.userAgent,
    request_id: p.requestId,
  }),
)

const seal = hot<{ id: number; position: number; hash: string }>()((db, p) =>
  db.updateTable('audit_entries').set({ position: p.position, hash: p.hash }).where('id', '=', p.id),
)

const unsealed = hot<{ limit: number }>()((db, p) =>
  db.selectFrom('audit_entries').select(COLUMNS).where('position', 'is', null).orderBy('id').limit(p.limit),
)

const sealedAfter = hot<{ position: number; limit: number }>()((db, p) =>
  db
    .selectFrom('audit_entries')
    .select(COLUMNS)
    .where('position', '>', p.position)
    .orderBy('position')
    .limit(p.limit),
)

const head = hot<Record<never, never>>()((db) =>
  db.selectFrom('audit_checkpoints').selectAll().orderBy('position', 'desc').limit(1),
)

/** Without a place it waits for the sealer. */
export async function insertAuditEntry(
  tx: Transaction,
  entry: NewAuditEntry,
  place: Place = { position: null, hash: null },
): Promise<void> {
  await tx.run(insert, { ...entry, ...place })
}

export async function sealAuditEntry(
  tx: Transaction,
  id: number,
  place: { readonly position: number; readonly hash: string },
): Promise<void> {
  await tx.run(seal, { id, ...place })
}

/** In the order in which they were written. */
export function unsealedAuditEntries(db: Executor, limit: number): Promise<AuditEntryRecord[]> {
  return db.all(unsealed, { limit })
}

/** In the order of the chain. */
export function auditEntriesAfter(
  db: Executor,
  position: number,
  limit: number,
): Promise<AuditEntryRecord[]> {
  return db.all(sealedAfter, { position, limit })
}

/** The newest checkpoint: where the chain ends. */
export function auditHead(db: Executor): Promise<AuditCheckpointRecord | undefined> {
  return db.first(head, {})
}

/** By position. */
export function auditCheckpoints(db: Executor): Promise<AuditCheckpointRecord[]> {
  return db.kysely.selectFrom('audit_checkpoints').selectAll().orderBy('position').execute()
}

export async function putAuditCheckpoint(tx: Transaction, checkpoint: AuditCheckpointRecord): Promise<void> {
  const { position: _, hash: __, ...changing } = checkpoint
  await tx.kysely
    .insertInto('audit_checkpoints')
    .values({ ...checkpoint })
    .onConflict((conflict) => conflict.column('position').doUpdateSet(changing))
    .execute()
}

export async function deleteAuditCheckpoint(tx: Transaction, position: number): Promise<void> {
  await tx.kysely.deleteFrom('audit_checkpoints').where('position', '=', position).execute()
}

export async function deleteAuditCheckpointsBefore(tx: Transaction, position: number): Promise<void> {
  await tx.kysely.deleteFrom('audit_checkpoints').where('position', '<', position).execute()
}

/** At most `limit` entries up to a position; resolves to how many. */
export async function deleteAuditEntriesUpTo(
  tx: Transaction,
  position: number,
  limit: number,
): Promise<number> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('audit_entries')
    .where('id', 'in', (query) =>
      query
        .selectFrom('audit_entries')
        .select('id')
        .where('position', '<=', position)
        .orderBy('position')
        .limit(limit),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** The newest first. */
export function auditKeys(db: Executor): Promise<AuditKeyRecord[]> {
  return db.kysely
    .selectFrom('audit_keys')
    .select(['kid', 'private_jwk as privateJwk', 'public_jwk as publicJwk', 'created_at as createdAt'])
    .orderBy('created_at', 'desc')
    .execute()
}

export async function insertAuditKey(tx: Transaction, key: AuditKeyRecord): Promise<void> {
  await tx.kysely
    .insertInto('audit_keys')
    .values({
      kid: key.kid,
      private_jwk: key.privateJwk,
      public_jwk: key.publicJwk,
      created_at: key.createdAt,
    })
    .execute()
}

/** Each is compared exactly. */
export interface AuditFilter {
  readonly action?: string | undefined
  readonly result?: AuditResult | undefined
  readonly actor?: string | undefined
  readonly target?: string | undefined
  readonly project?: string | undefined
  readonly remote?: string | undefined
  readonly since?: number | undefined
  readonly until?: number | undefined
}

/**
 * The matching entries with ids above `from` and up to `to`, by id: the newest first, or the oldest. Looks at no more rows
 * than lie between them, whatever the filter: choose them close to each other.
 */
export function auditEntriesBetween(
  db: Executor,
  { from, to, newestFirst }: { from: number; to: number; newestFirst: boolean },
  filter: AuditFilter,
  limit: number,
): Promise<AuditEntryRecord[]> {
  const { since, until, ...exact } = filter
  let query = db.kysely
    .selectFrom('audit_entries')
    .select(COLUMNS)
    .where('id', '>', from)
    .where('id', '<=', to)
  for (const [column, value] of Object.entries(exact) as [keyof typeof exact, string | undefined][])
    if (value !== undefined) query = query.where(column, '=', value)
  if (since !== undefined) query = query.where('at', '>=', since)
  if (until !== undefined) query = query.where('at', '<=', until)
  return query
    .orderBy('id', newestFirst ? 'desc' : 'asc')
    .limit(limit)
    .execute()
}

/**
 * The first and the last id of entries that can have happened between two times; zeros when there is none. Entries that were
 * counted before they were written have earlier times than their neighbours, by at most `slackMs`.
 */
export async function auditBounds(
  db: Executor,
  { since, until, slackMs }: { since: number | undefined; until: number | undefined; slackMs: number },
): Promise<{ first: number; last: number }> {
  const first = await edge(db, 'asc', since === undefined ? undefined : ['>=', since - slackMs])
  const last = await edge(db, 'desc', until === undefined ? undefined : ['<=', until + slackMs])
  return { first, last }
}

async function edge(
  db: Executor,
  order: 'asc' | 'desc',
  limit: readonly ['>=' | '<=', number] | undefined,
): Promise<number> {
  const ids = db.kysely.selectFrom('audit_entries').select('id').limit(1)
  const row = await (limit ? ids.where('at', ...limit).orderBy('at', order) : ids)
    .orderBy('id', order)
    .executeTakeFirst()
  return row?.id ?? 0
}
