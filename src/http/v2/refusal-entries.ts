// What the audit log tells of refusals at `/v2/`: who may not, and what a guard stopped.
import type { AuditLog } from '#access/audit/audit-log.ts'
import type { Noted } from '#access/audit/noted-entries.ts'
import type { Refused } from '#http/v2/dispatch.ts'
import type { Operation } from '#http/v2/route.ts'
import { principalName } from '#identity/principal.ts'
import type { OciError } from '#oci/errors.ts'

/** Named as what would have happened. */
const ACTIONS: Readonly<Record<Operation, string>> = {
  version: 'version.read',
  'catalog.list': 'catalog.listed',
  'tags.list': 'tags.listed',
  'manifest.get': 'manifest.pulled',
  'manifest.head': 'manifest.pulled',
  'manifest.put': 'manifest.pushed',
  'manifest.delete': 'manifest.deleted',
  'blob.get': 'blob.pulled',
  'blob.head': 'blob.pulled',
  'blob.delete': 'blob.deleted',
  'referrers.list': 'referrers.listed',
  'upload.open': 'blob.pushed',
  'upload.status': 'blob.pushed',
  'upload.append': 'blob.pushed',
  'upload.close': 'blob.pushed',
  'upload.cancel': 'blob.pushed',
}

/** Undefined for what is no refusal of that kind: a login is asked for, or something is not there. */
export function entryOfRefusal(
  audit: AuditLog,
  error: OciError,
  { caller, route }: Refused,
): Noted | undefined {
  // Who is told to wait comes again and again: that is for the metrics.
  if (error.reason === 'TOO_MANY_REQUESTS') return undefined
  const guard = guardOf(error)
  if (!route || (guard === undefined && error.reason !== 'DENIED')) return undefined
  const { principal, remote, userAgent, requestId } = caller
  const reference = route.rest === '' ? '' : `${route.rest.includes(':') ? '@' : ':'}${route.rest}`
  const isManifest = route.operation.startsWith('manifest.')
  return {
    action: ACTIONS[route.operation],
    result: 'refused',
    actor: principalName(principal) ?? null,
    target: `${route.name}${isManifest ? reference : ''}`,
    project: audit.projectOf(route.name),
    detail: JSON.stringify({ reason: error.reason, ...(guard !== undefined && { guard }) }),
    remote: remote ?? null,
    userAgent: userAgent ?? null,
    requestId,
  }
}

function guardOf({ detail }: OciError): string | undefined {
  if (typeof detail !== 'object' || detail === null || !('guard' in detail)) return undefined
  return String(detail.guard)
}
