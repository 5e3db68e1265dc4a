// What a webhook is sent: one event, as registry:2 tells it or as a CloudEvent (https://cloudevents.io, 1.0), and signed.
import { createHmac } from 'node:crypto'
import type { EventRecord } from '#db/events.ts'
import type { WebhookFormat } from '#db/webhook-schema.ts'
import { ENVELOPE_TYPE, type EventSource, eventIdOf, toldOf } from '#events/notifications/envelope.ts'

export const PING = 'ping'
const CLOUDEVENTS_TYPE = 'application/cloudevents+json; charset=utf-8'
/** Before the kind: reverse DNS, as the specification asks for. */
const TYPE_PREFIX = 'io.stowage.'

export interface Message {
  readonly contentType: string
  readonly body: string
}

/** A ping is an event that never happened. */
export type Told = EventRecord & { readonly kind: string }

/** Undefined for what registry:2 has no word for, where its format is asked for. */
export function messageOf(event: Told, format: WebhookFormat, source: EventSource): Message | undefined {
  if (format === 'cloudevents') return { contentType: CLOUDEVENTS_TYPE, body: cloudEvent(event, source) }
  if (event.kind === PING) return { contentType: ENVELOPE_TYPE, body: JSON.stringify({ events: [] }) }
  const told = toldOf(event, source)
  return told && { contentType: ENVELOPE_TYPE, body: told.body }
}

function cloudEvent(event: Told, source: EventSource): string {
  const { id, at, kind, repository, digest, tag, mediaType, size, fromRepository, actor } = event
  const data = { repository, digest, tag, mediaType, size, fromRepository, actor }
  return JSON.stringify({
    specversion: '1.0',
    id: eventIdOf({ ...event, id }),
    source: event.origin ?? `//${source.addr}`,
    type: TYPE_PREFIX + kind,
    subject: tag !== null ? `${repository}:${tag}` : digest !== null ? `${repository}@${digest}` : repository,
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null)),
  })
}

/** `t=<seconds since 1970>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">`: what is older than some minutes was replayed by a stranger. */
export function signatureOf(secret: string, body: string, atMs: number): string {
  const seconds = Math.floor(atMs / 1_000)
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}
