// Pushes and deletes as entries of the audit log. Layers are part of the push of a manifest, and are not told by themselves.
import type { NewAuditEntry } from '#db/audit.ts'
import type { EventRecord } from '#db/events.ts'
import { projectOf } from '#identity/account-name.ts'

const AUDITED = new Set([
  'manifest.pushed',
  'manifest.deleted',
  'tag.deleted',
  'blob.deleted',
  'repository.deleted',
])

/** Undefined for what the log does not tell. */
export function entryOfEvent(event: EventRecord, projectDepth: number): NewAuditEntry | undefined {
  const { kind, repository, digest, tag, size, at, actor, remote, userAgent, requestId } = event
  if (!AUDITED.has(kind)) return undefined
  return {
    ...{ at, until: null, count: 1, action: kind, result: 'done', actor },
    target: tag !== null ? `${repository}:${tag}` : digest !== null ? `${repository}@${digest}` : repository,
    project: projectOf(repository, projectDepth),
    detail: digest === null ? null : JSON.stringify({ digest, ...(size !== null && { size }) }),
    ...{ remote, userAgent, requestId },
  }
}
