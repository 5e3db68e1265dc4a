// Webhooks of projects: whom to tell of what.
import type { Executor, Transaction } from '#db/db.ts'
import type { WebhookFormat } from '#db/webhook-schema.ts'

export interface Webhook {
  /** Unique within its project. */
  readonly name: string
  readonly url: string
  readonly format: WebhookFormat
  /** Of events. */
  readonly kinds: readonly string[]
  /** A pattern of whole names of repositories. */
  readonly repository: string
  readonly headerNames: readonly string[]
  readonly signed: boolean
  /** Headers and secret. */
  readonly sealed: string
  readonly disabled: boolean
}

export interface WebhookRecord extends Webhook {
  readonly id: number
  readonly afterEvent: number
  readonly createdAt: number
  readonly version: number
}

/** With the name of the project. */
export interface ProjectWebhook extends WebhookRecord {
  readonly project: string
}

const COLUMNS = [
  'w.id',
  'w.name',
  'w.url',
  'w.format',
  'w.kinds',
  'w.repository',
  'w.header_names as headerNames',
  'w.signed',
  'w.sealed',
  'w.disabled',
  'w.after_event as afterEvent',
  'w.created_at as createdAt',
  'w.version',
] as const

interface Row extends Omit<WebhookRecord, 'kinds' | 'headerNames' | 'signed' | 'disabled'> {
  readonly kinds: string
  readonly headerNames: string
  readonly signed: number
  readonly disabled: number
}

function recordOf(row: Row): WebhookRecord {
  return {
    ...row,
    kinds: JSON.parse(row.kinds) as string[],
    headerNames: JSON.parse(row.headerNames) as string[],
    signed: row.signed === 1,
    disabled: row.disabled === 1,
  }
}

/** All of a project, by name. */
export async function webhooksOf(db: Executor, projectId: number): Promise<WebhookRecord[]> {
  const rows = await db.kysely
    .selectFrom('webhooks as w')
    .select(COLUMNS)
    .where('w.project_id', '=', projectId)
    .orderBy('w.name')
    .execute()
  return rows.map(recordOf)
}

/** Those of all projects that are told of something. */
export async function webhooksInForce(db: Executor): Promise<ProjectWebhook[]> {
  const rows = await db.kysely
    .selectFrom('webhooks as w')
    .innerJoin('projects as p', 'p.id', 'w.project_id')
    .select(COLUMNS)
    .select('p.name as project')
    .where('w.disabled', '=', 0)
    .orderBy('w.id')
    .execute()
  return rows.map((row) => ({ ...recordOf(row), project: row.project }))
}

export async function findWebhook(
  db: Executor,
  projectId: number,
  name: string,
): Promise<WebhookRecord | undefined> {
  const row = await db.kysely
    .selectFrom('webhooks as w')
    .select(COLUMNS)
    .where('w.project_id', '=', projectId)
    .where('w.name', '=', name)
    .executeTakeFirst()
  return row && recordOf(row)
}

export async function webhookById(db: Executor, id: number): Promise<WebhookRecord | undefined> {
  const row = await db.kysely
    .selectFrom('webhooks as w')
    .select(COLUMNS)
    .where('w.id', '=', id)
    .executeTakeFirst()
  return row && recordOf(row)
}

/** False when the project has one of that name. */
export async function insertWebhook(
  tx: Transaction,
  projectId: number,
  webhook: Webhook,
  { now, afterEvent }: { readonly now: number; readonly afterEvent: number },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('webhooks')
    .values({
      ...{ project_id: projectId, name: webhook.name, ...columnsOf(webhook) },
      ...{ after_event: afterEvent, created_at: now, updated_at: now },
    })
    .onConflict((conflict) => conflict.columns(['project_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when it is gone, or has another version than the one that is expected. */
export async function updateWebhook(
  tx: Transaction,
  projectId: number,
  webhook: Webhook,
  { now, version }: { readonly now: number; readonly version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('webhooks')
    .set((set) => ({ ...columnsOf(webhook), updated_at: now, version: set('version', '+', 1) }))
    .where('project_id', '=', projectId)
    .where('name', '=', webhook.name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function deleteWebhook(tx: Transaction, projectId: number, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('webhooks')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnsOf(webhook: Webhook) {
  return {
    url: webhook.url,
    format: webhook.format,
    kinds: JSON.stringify(webhook.kinds),
    repository: webhook.repository,
    header_names: JSON.stringify(webhook.headerNames),
    signed: webhook.signed ? 1 : 0,
    sealed: webhook.sealed,
    disabled: webhook.disabled ? 1 : 0,
  }
}

export async function anyWebhook(db: Executor): Promise<boolean> {
  return (await db.kysely.selectFrom('webhooks').select('id').limit(1).executeTakeFirst()) !== undefined
}
