// The chain of the audit log: each entry is hashed with the hash before it, and signed checkpoints say where it stands.
import { createHash } from 'node:crypto'
import type { AuditCheckpointRecord, NewAuditEntry } from '#db/audit.ts'

/** Before the first entry. */
export const GENESIS = { position: 0, hash: '0'.repeat(64) } as const

export interface ChainPlace {
  readonly position: number
  /** sha256, hex. */
  readonly hash: string
}

export type SealedEntry = NewAuditEntry & ChainPlace

/** The place of an entry that follows another. */
export function placeAfter({ position: before, hash }: ChainPlace, entry: NewAuditEntry): ChainPlace {
  const position = before + 1
  const { at, until, count, action, result, actor, target, project, detail } = entry
  const { remote, userAgent, requestId } = entry
  const text = JSON.stringify([
    ...[position, at, until, count, action, result, actor, target, project, detail],
    ...[remote, userAgent, requestId],
  ])
  return { position, hash: createHash('sha256').update(`${hash}\n${text}`).digest('hex') }
}

/** What the signature of a checkpoint is over. */
export function checkpointText({
  kind,
  position,
  hash,
  at,
}: Pick<AuditCheckpointRecord, 'kind' | 'position' | 'hash' | 'at'>): Buffer {
  return Buffer.from(`stowage audit ${kind} ${position} ${hash} ${at}`)
}
