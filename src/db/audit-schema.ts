// The tables of the audit log. Times are milliseconds since 1970.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

export type AuditResult = 'done' | 'refused' | 'failed'

export interface AuditEntryTable {
  id: Generated<number>
  /** Place in the chain, from 1 on without a gap; null until the entry is sealed. */
  position: number | null
  /** sha256 hex of the entry and of the hash before it; null until it is sealed. */
  hash: string | null
  at: Fixed<number>
  /** When the last of several like it happened; null for a single one. */
  until: Fixed<number | null>
  count: Fixed<number>
  action: Fixed<string>
  result: Fixed<AuditResult>
  actor: Fixed<string | null>
  target: Fixed<string | null>
  project: Fixed<string | null>
  /** JSON object */
  detail: Fixed<string | null>
  remote: Fixed<string | null>
  user_agent: Fixed<string | null>
  request_id: Fixed<string | null>
}

/** A signed statement: the chain has this hash at this place. */
export interface AuditCheckpointTable {
  position: Fixed<number>
  hash: Fixed<string>
  at: number
  /** `cut`: what comes before was deleted on purpose, as old as it was. */
  kind: 'seal' | 'cut'
  kid: string
  signature: string
}

export interface AuditKeyTable {
  kid: Fixed<string>
  private_jwk: Fixed<string>
  public_jwk: Fixed<string>
  created_at: Fixed<number>
}

export interface AuditTables {
  audit_entries: AuditEntryTable
  audit_checkpoints: AuditCheckpointTable
  audit_keys: AuditKeyTable
}
