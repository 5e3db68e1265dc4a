// Whether somebody still answers for a robot: whoever made it, enabled it last or gave it its secret. When he leaves, or could not
// make it any more, it stops, until somebody else answers for it.
import type { Executor } from '#db/db.ts'
import { rolesOf } from '#db/projects.ts'
import type { RobotRecord } from '#db/robots.ts'
import { findUserById } from '#db/users.ts'
import { strongerRole } from '#identity/role.ts'

/** A few queries by key. A robot from before anybody was remembered for it goes on. */
export async function hasSponsor(
  db: Executor,
  { createdBy, projectId }: Pick<RobotRecord, 'createdBy' | 'projectId'>,
): Promise<boolean> {
  if (createdBy === null) return true
  const user = await findUserById(db, createdBy)
  if (!user || user.disabledAt !== null) return false
  if (strongerRole(user.systemRole, user.externalRole) === 'admin') return true
  if (projectId === null) return false
  const roles = await rolesOf(db, projectId, user.id)
  return roles.includes('maintainer') || roles.includes('owner')
}
