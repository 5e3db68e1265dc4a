// The tables of those who come in otherwise than by a password of ours. Times are milliseconds since 1970.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

/** An account somewhere else that speaks for a user here. */
export interface ExternalIdentityTable {
  id: Generated<number>
  user_id: Fixed<number>
  /** Who vouches: the URL of an OpenID provider, or `ldap:<name>`. */
  issuer: Fixed<string>
  /** As the issuer calls it, for ever; never a name or an address that somebody else may have tomorrow. */
  subject: Fixed<string>
  /** What the provider can be asked with whether all this still holds; sealed. Null where it gave nothing. */
  sealed_grant: string | null
  created_at: Fixed<number>
  /** When the issuer last said that this holds. */
  confirmed_at: number
  /** When somebody began to ask it; later than `confirmed_at` while the answer is awaited, or never came. */
  asked_at: number | null
  /** When it said that it does not; null while it does. */
  ended_at: number | null
}

/** Somebody's browser that is logged in. */
export interface SessionTable {
  id: Generated<number>
  /** sha256 hex of the cookie. */
  hash: Fixed<string>
  user_id: Fixed<number>
  /** `password`, or the name of the provider. */
  method: Fixed<string>
  remote: Fixed<string | null>
  user_agent: Fixed<string | null>
  created_at: Fixed<number>
  seen_at: number
  /** Absolute: no use moves it. */
  expires_at: Fixed<number>
}

/** Whose jobs may speak for a robot. */
export interface FederationRuleTable {
  id: Generated<number>
  robot_id: Fixed<number>
  name: Fixed<string>
  issuer: Fixed<string>
  /** JSON: claim -> pattern. */
  claims: Fixed<string>
  created_at: Fixed<number>
}

export interface IdentityTables {
  external_identities: ExternalIdentityTable
  sessions: SessionTable
  federation_rules: FederationRuleTable
}
