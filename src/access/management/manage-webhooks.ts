// Webhooks of a project: whom to tell of what. Headers and secret go in and never come out.
import { checkRuleName } from '#access/management/manage-access-rules.ts'
import { existingProject } from '#access/management/manage-projects.ts'
import {
  checkUpdated,
  checkVersion,
  type Listed,
  listed,
  type Management,
  type Paging,
  timeText,
  unknown,
} from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import { SEALED_CHARS_MAX } from '#access/sealed.ts'
import type { Executor, Transaction } from '#db/db.ts'
import { beginEventCursor } from '#db/event-cursors.ts'
import { newestEventId } from '#db/events.ts'
import {
  addDeliveries,
  type DeliveryRecord,
  deliveryPage,
  reopenLanes,
  replayDead,
} from '#db/webhook-deliveries.ts'
import type { DeliveryState, WebhookFormat } from '#db/webhook-schema.ts'
import {
  deleteWebhook,
  findWebhook,
  insertWebhook,
  updateWebhook,
  type Webhook,
  type WebhookRecord,
  webhooksOf,
} from '#db/webhooks.ts'
import { PING } from '#events/webhooks/message.ts'
import { WEBHOOKS } from '#events/webhooks/webhook-subscriber.ts'
import { OutboundError } from '#lib/outbound/outbound-error.ts'

export const WEBHOOKS_PER_PROJECT_MAX = 20

export interface WebhookInput {
  readonly name: string
  readonly url: string
  readonly format: WebhookFormat
  readonly kinds: readonly string[]
  readonly repository: string
  /** Undefined to leave those that there are. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Null for none, undefined to leave it as it is. */
  readonly secret?: string | null | undefined
  readonly disabled: boolean
}

export interface WebhookView extends Omit<Webhook, 'sealed'> {
  readonly createdAt: string | null
  readonly version: number
}

export interface DeliveryView {
  readonly id: number
  readonly kind: string
  readonly repository: string
  readonly state: DeliveryState
  readonly attempts: number
  readonly status: number | null
  readonly error: string | null
  readonly durationMs: number | null
  readonly createdAt: string | null
  readonly firstTriedAt: string | null
  readonly triedAt: string | null
}

function viewOf({
  id: _,
  sealed: _sealed,
  afterEvent: _after,
  createdAt,
  ...webhook
}: WebhookRecord): WebhookView {
  return { ...webhook, createdAt: timeText(createdAt) }
}

export async function listWebhooks({ db }: Management, project: string): Promise<readonly WebhookView[]> {
  return (await webhooksOf(db, (await existingProject(db, project)).id)).map(viewOf)
}

export async function getWebhook({ db }: Management, project: string, name: string): Promise<WebhookView> {
  return viewOf(await existingWebhook(db, project, name))
}

/** @throws Refusal invalid for an address that must not be reached */
export async function createWebhook(
  management: Management,
  project: string,
  input: WebhookInput,
): Promise<WebhookView> {
  const { db, now } = management
  checkRuleName(input.name)
  await checkAddress(management, input.url)
  const webhook = sealedOf(management, input, undefined)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    if ((await webhooksOf(tx, id)).length >= WEBHOOKS_PER_PROJECT_MAX)
      throw new Refusal('conflict', `a project has at most ${WEBHOOKS_PER_PROJECT_MAX} webhooks`)
    const afterEvent = await newestEventId(tx)
    await beginEventCursor(tx, WEBHOOKS, afterEvent)
    if (!(await insertWebhook(tx, id, webhook, { now: now(), afterEvent })))
      throw new Refusal('taken', `the project ${project} has a webhook ${input.name} already`)
    const made = await existingWebhook(tx, project, input.name)
    await ping(tx, made, project, now())
    return viewOf(made)
  })
}

export async function replaceWebhook(
  management: Management,
  project: string,
  input: WebhookInput,
  version: number | undefined,
): Promise<WebhookView> {
  const { db, now } = management
  await checkAddress(management, input.url)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    const before = await existingWebhook(tx, project, input.name)
    const webhook = sealedOf(management, input, before)
    checkUpdated(
      await updateWebhook(tx, id, webhook, { now: now(), version }),
      `the webhook ${input.name}`,
      true,
    )
    if (before.disabled && !input.disabled) await reopenLanes(tx, before.id)
    return viewOf(await existingWebhook(tx, project, input.name))
  })
}

export async function removeWebhook(
  { db }: Management,
  project: string,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    checkVersion(await existingWebhook(tx, project, name), version, `the webhook ${name}`)
    await deleteWebhook(tx, (await existingProject(tx, project)).id, name)
  })
}

/** @throws Refusal conflict for one that is disabled */
export async function pingWebhook({ db, now }: Management, project: string, name: string): Promise<void> {
  await db.transaction(async (tx) => {
    const webhook = await existingWebhook(tx, project, name)
    if (webhook.disabled) throw new Refusal('conflict', `the webhook ${name} is disabled`)
    await ping(tx, webhook, project, now())
  })
}

async function ping(
  tx: Transaction,
  { id, disabled }: WebhookRecord,
  project: string,
  at: number,
): Promise<void> {
  if (disabled) return
  const nothing = { digest: null, tag: null, mediaType: null, size: null, fromRepository: null, actor: null }
  const event = { id: 0, at, kind: PING, repository: project, ...nothing, requestId: null, origin: null }
  await addDeliveries(tx, [{ webhookId: id, lane: '', eventId: null, event: JSON.stringify(event) }])
}

export async function listDeliveries(
  { db }: Management,
  project: string,
  name: string,
  { state, after, limit }: Paging & { readonly state: DeliveryState | undefined },
): Promise<Listed<DeliveryView>> {
  const { id } = await existingWebhook(db, project, name)
  const before = /^[1-9]\d{0,14}$/.test(after) ? Number(after) : Number.MAX_SAFE_INTEGER
  const rows = await deliveryPage(db, id, { state, before, limit: limit + 1 })
  return listed(rows.map(deliveryView), limit, (row) => String(row.id))
}

/** Dead ones wait again: all, or the one that is named. Resolves to how many. @throws Refusal unknown */
export async function replayDeliveries(
  { db }: Management,
  project: string,
  name: string,
  delivery: number | undefined,
): Promise<number> {
  return db.transaction(async (tx) => {
    const { id } = await existingWebhook(tx, project, name)
    const replayed = await replayDead(tx, id, delivery)
    if (delivery !== undefined && replayed === 0)
      throw unknown(`the delivery ${delivery} that the webhook ${name} was not told of`)
    return replayed
  })
}

function deliveryView({ event, lane, webhookId: _, ...row }: DeliveryRecord): DeliveryView {
  const { kind } = JSON.parse(event) as { kind: string }
  return {
    ...row,
    ...{ kind, repository: lane, createdAt: timeText(row.createdAt) },
    ...{ firstTriedAt: timeText(row.firstTriedAt), triedAt: timeText(row.triedAt) },
  }
}

async function checkAddress({ webhooks }: Management, url: string): Promise<void> {
  try {
    await webhooks.check(url)
  } catch (error) {
    if (error instanceof OutboundError)
      throw new Refusal('invalid', `the address cannot be used: ${error.message}`)
    throw error
  }
}

function sealedOf({ webhooks }: Management, input: WebhookInput, before: WebhookRecord | undefined): Webhook {
  const { headers, secret, ...rest } = input
  const kept = before && webhooks.unseal(before.sealed)
  const sealed = {
    headers: headers ?? kept?.headers ?? {},
    secret: secret === undefined ? kept?.secret : (secret ?? undefined),
  }
  const text = webhooks.seal(sealed)
  if (text.length > SEALED_CHARS_MAX) throw new Refusal('invalid', 'the headers are too long')
  return {
    ...rest,
    headerNames: Object.keys(sealed.headers).sort(),
    signed: sealed.secret !== undefined,
    sealed: text,
  }
}

async function existingWebhook(db: Executor, project: string, name: string): Promise<WebhookRecord> {
  const webhook = await findWebhook(db, (await existingProject(db, project)).id, name)
  if (!webhook) throw unknown(`the webhook ${name} of the project ${project}`)
  return webhook
}
