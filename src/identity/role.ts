// What members of a project may do.
import type { RepositoryAction } from '#identity/action.ts'

/** `overwrite`: to move a tag that exists. `manage`: members, robots and settings of a project. */
export type Right = RepositoryAction | 'overwrite' | 'manage'

export const RIGHTS: readonly Right[] = ['pull', 'push', 'overwrite', 'delete', 'manage']

export type Role = 'guest' | 'developer' | 'maintainer' | 'owner'

/** From the least to the most. */
export const ROLES: readonly Role[] = ['guest', 'developer', 'maintainer', 'owner']

/** admin: everything everywhere; auditor: reads everything. */
export type SystemRole = 'admin' | 'auditor'

export function strongerRole(one: SystemRole | null, other: SystemRole | null): SystemRole | null {
  return one === 'admin' || other === 'admin' ? 'admin' : (one ?? other)
}

/** Who may pull without being a member: nobody, who logged in, everybody. */
export type Visibility = 'private' | 'authenticated' | 'public'

export const VISIBILITIES: readonly Visibility[] = ['private', 'authenticated', 'public']

const RIGHTS_OF: Readonly<Record<Role, readonly Right[]>> = {
  guest: ['pull'],
  developer: ['pull', 'push', 'overwrite'],
  maintainer: RIGHTS,
  owner: RIGHTS,
}

/** An owner may what a maintainer may, and delete the project. */
export function rightsOf(role: Role): readonly Right[] {
  return RIGHTS_OF[role]
}
