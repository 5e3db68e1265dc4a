// An entry of the audit log as the API and an export show it, and back: what is shown is all that its hash is over.
import type { SealedEntry } from '#access/audit/chain.ts'
import type { AuditEntryRecord } from '#db/audit.ts'
import type { AuditResult } from '#db/audit-schema.ts'

export interface AuditEntryView {
  readonly id: number
  readonly position: number | null
  readonly hash: string | null
  readonly at: string
  readonly until: string | null
  readonly count: number
  readonly action: string
  readonly result: AuditResult
  readonly actor: string | null
  readonly target: string | null
  readonly project: string | null
  readonly detail: Readonly<Record<string, unknown>> | null
  readonly remote: string | null
  readonly userAgent: string | null
  readonly requestId: string | null
}

export function auditEntryView(entry: AuditEntryRecord): AuditEntryView {
  const { id, position, hash, at, until, detail, ...others } = entry
  return {
    ...{ id, position, hash, at: timeOf(at), until: until === null ? null : timeOf(until) },
    ...others,
    detail: detail === null ? null : (JSON.parse(detail) as Record<string, unknown>),
  }
}

function timeOf(at: number): string {
  return new Date(at).toISOString()
}

/** Undefined for an entry that is not sealed yet. */
export function sealedEntryOf(view: AuditEntryView): SealedEntry | undefined {
  const { id: _, position, hash, at, until, detail, ...others } = view
  if (position === null || hash === null) return undefined
  return {
    ...{ position, hash, at: Date.parse(at), until: until === null ? null : Date.parse(until) },
    ...others,
    detail: detail === null ? null : JSON.stringify(detail),
  }
}
