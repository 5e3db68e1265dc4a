// The tables of who there is. Times are milliseconds since 1970; secrets are only there as hashes.
import type { ColumnType, Generated } from 'kysely'
import type { Role, SystemRole, Visibility } from '#identity/role.ts'

type Fixed<T> = ColumnType<T, T, never>

/** A row that is changed by people: `version` counts the changes, so that nobody undoes what he has not seen. */
interface Edited {
  id: Generated<number>
  name: Fixed<string>
  created_at: Fixed<number>
  updated_at: number
  version: Generated<number>
}

export interface UserTable extends Edited {
  email: string | null
  display_name: string | null
  /** PHC string of argon2id, or bcrypt; null for who has no password here. */
  password_hash: string | null
  system_role: SystemRole | null
  /** What the groups of a provider give; `system_role` is given here. */
  external_role: SystemRole | null
  disabled_at: number | null
}

export interface GroupTable {
  id: Generated<number>
  name: Fixed<string>
  created_at: Fixed<number>
}

export interface GroupMemberTable {
  user_id: Fixed<number>
  group_id: Fixed<number>
  /** The account elsewhere that brings the membership; null for one that was entered here. */
  identity_id: number | null
}

export interface ProjectTable extends Edited {
  visibility: Visibility
}

/** When a project of that name was deleted last: tokens from before are not for a later one. */
export interface ProjectTombstoneTable {
  name: Fixed<string>
  deleted_at: number
}

export interface ProjectUserTable {
  user_id: Fixed<number>
  project_id: Fixed<number>
  role: Role
}

export interface ProjectGroupTable {
  group_id: Fixed<number>
  project_id: Fixed<number>
  role: Role
}

export interface RobotTable extends Edited {
  /** Null for a robot of the whole registry. */
  project_id: Fixed<number | null>
  /** sha256 hex of a random secret. */
  secret_hash: string
  /** Good until `previous_secret_until`, so that a rotation breaks nothing. */
  previous_secret_hash: string | null
  previous_secret_until: number | null
  /** JSON: `[{"repository": "team/**", "rights": ["pull"]}]` */
  permissions: string
  expires_at: number | null
  disabled_at: number | null
  /** The user who answers for it: it works as long as he could make it. Null for one from before that was kept. */
  created_by: number | null
}

export interface ApiKeyTable {
  id: Generated<number>
  user_id: Fixed<number>
  name: Fixed<string>
  secret_hash: Fixed<string>
  /** As of a robot; null for all that the user may. */
  permissions: Fixed<string | null>
  expires_at: Fixed<number | null>
  created_at: Fixed<number>
}

export interface RefreshTokenTable {
  hash: Fixed<string>
  /** Name of the user or robot, and `#<id>` of the API key that it was asked with. */
  principal: Fixed<string>
  client_id: Fixed<string>
  created_at: Fixed<number>
  expires_at: number
}

export interface SigningKeyTable {
  kid: Fixed<string>
  algorithm: Fixed<string>
  private_jwk: Fixed<string>
  public_jwk: Fixed<string>
  created_at: Fixed<number>
  retired_at: number | null
}

export interface AccessTables {
  users: UserTable
  groups: GroupTable
  group_members: GroupMemberTable
  projects: ProjectTable
  project_tombstones: ProjectTombstoneTable
  project_users: ProjectUserTable
  project_groups: ProjectGroupTable
  robots: RobotTable
  api_keys: ApiKeyTable
  refresh_tokens: RefreshTokenTable
  signing_keys: SigningKeyTable
}
