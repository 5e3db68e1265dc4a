// What registry:2 tells its endpoints of an event: `application/vnd.docker.distribution.events.v2+json`.
import { createHash } from 'node:crypto'
import type { EventRecord } from '#db/events.ts'

export const ENVELOPE_TYPE = 'application/vnd.docker.distribution.events.v2+json'
/** The type that registry:2 gives blobs, which it knows as bytes alone. */
const BLOB_TYPE = 'application/octet-stream'

export const ACTIONS = ['pull', 'push', 'mount', 'delete'] as const
export type Action = (typeof ACTIONS)[number]

const ACTION_OF: Readonly<Record<string, Action>> = {
  'blob.pulled': 'pull',
  'blob.pushed': 'push',
  'blob.mounted': 'mount',
  'blob.deleted': 'delete',
  'manifest.pulled': 'pull',
  'manifest.pushed': 'push',
  'manifest.deleted': 'delete',
  'tag.deleted': 'delete',
  'repository.deleted': 'delete',
}

/** Where the event comes from. */
export interface EventSource {
  /** `host:port` of the registry. */
  readonly addr: string
  /** Of this run of the registry. */
  readonly instanceID: string
}

export interface Notification {
  readonly action: Action
  /** Undefined for what is deleted. */
  readonly mediaType: string | undefined
  /** One event, in an envelope. */
  readonly body: string
}

/** Undefined for what registry:2 has no word for, and for what no request asked for. */
export function notificationOf(event: EventRecord, source: EventSource): Notification | undefined {
  return event.remote === null ? undefined : toldOf(event, source)
}

/** The same, also of our own work. */
export function toldOf(event: EventRecord, source: EventSource): Notification | undefined {
  const action = ACTION_OF[event.kind]
  if (action === undefined) return undefined
  const isBlob = event.kind.startsWith('blob.')
  const mediaType = action === 'delete' ? undefined : isBlob ? BLOB_TYPE : (event.mediaType ?? undefined)
  const told = {
    id: eventIdOf(event),
    timestamp: new Date(event.at).toISOString(),
    action,
    target: targetOf(event, action, mediaType),
    request: {
      id: event.requestId ?? '',
      addr: event.remote ?? '',
      host: event.origin?.replace(/^https?:\/\//, '') ?? '',
      method: event.method ?? '',
      useragent: event.userAgent ?? '',
    },
    actor: event.actor === null ? {} : { name: event.actor },
    source,
  }
  return { action, mediaType, body: JSON.stringify({ events: [told] }, null, 3) }
}

function targetOf(event: EventRecord, action: Action, mediaType: string | undefined): object {
  const { repository, digest, tag, size, fromRepository } = event
  if (action === 'delete') {
    // As registry:2 says it: neither type nor size of what is gone, and no digest of a tag.
    const gone = { mediaType: '', size: 0, digest: event.kind === 'tag.deleted' ? '' : (digest ?? '') }
    return { ...gone, repository, ...(event.kind === 'tag.deleted' && { tag: tag ?? '' }) }
  }
  const kind = event.kind.startsWith('blob.') ? 'blobs' : 'manifests'
  return {
    ...(mediaType !== undefined && { mediaType }),
    ...(size !== null && { size, length: size }),
    digest,
    repository,
    ...(fromRepository !== null && { fromRepository }),
    ...(event.origin !== null && { url: `${event.origin}/v2/${repository}/${kind}/${digest}` }),
    ...(tag !== null && { tag }),
  }
}

/** The same whenever it is sent again: a receiver knows a repetition by it. */
export function eventIdOf({ id, at, requestId }: EventRecord): string {
  const hex = createHash('sha256').update(`${at} ${id} ${requestId}`).digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}
