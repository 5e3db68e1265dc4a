// The tables of rules, quotas and what is counted against them. Times are milliseconds since 1970, sizes are bytes.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

/** What is allowed or denied inside a project beyond the roles of its members. */
export interface AccessRuleTable {
  id: Generated<number>
  project_id: Fixed<number>
  name: Fixed<string>
  effect: 'allow' | 'deny'
  /** Pattern of the whole names of repositories. */
  repository: string
  /** JSON: `["push", "overwrite"]` */
  rights: string
  /** One of the three names whom it is for; none of them: everyone. */
  user_id: number | null
  group_id: number | null
  robot_id: number | null
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

/** Tags that stay where they are. */
export interface ImmutabilityRuleTable {
  id: Generated<number>
  project_id: Fixed<number>
  name: Fixed<string>
  repository: string
  tag: string
  /** JSON lists of patterns that are left out. */
  except_repositories: string
  except_tags: string
  disabled: number
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

/** Limits of a scope: `registry`, `project:<name>`, `user:<id>`. Null: no limit. */
export interface QuotaTable {
  scope: Fixed<string>
  bytes: number | null
  repositories: number | null
  tags: number | null
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

/**
 * A project (or, under the empty name, the registry) holds a blob, once, in however many of its repositories. Kept by
 * triggers on the tables of links and manifests.
 */
export interface BlobHoldTable {
  blob_id: Fixed<number>
  project: Fixed<string>
  size: number
  /** Who brought it. */
  user_id: number | null
}

/** What a scope uses. SQLite, which has one writer, counts here at once. */
export interface UsageTotalTable {
  scope: Fixed<string>
  bytes: number
  repositories: number
  tags: number
  /** When somebody was told that most of a quota is used; null when there is nothing to tell. */
  warned_at: number | null
}

/** Changes to what a scope uses that are not in its total yet: with many writers a total would be a row they all wait for. */
export interface UsageDeltaTable {
  id: Generated<number>
  scope: Fixed<string>
  bytes: Fixed<number>
  repositories: Fixed<number>
  tags: Fixed<number>
}

export interface RetentionRuleTable {
  id: Generated<number>
  project_id: Fixed<number>
  name: Fixed<string>
  repository: string
  tag: string
  /** JSON lists of patterns. */
  except_repositories: string
  except_tags: string
  newest: number | null
  pushed_days: number | null
  pulled_days: number | null
  signed: number
  untagged_days: number | null
  disabled: number
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

export interface AuthorizationTables {
  access_rules: AccessRuleTable
  immutability_rules: ImmutabilityRuleTable
  retention_rules: RetentionRuleTable
  quotas: QuotaTable
  blob_holds: BlobHoldTable
  usage_totals: UsageTotalTable
  usage_deltas: UsageDeltaTable
}
