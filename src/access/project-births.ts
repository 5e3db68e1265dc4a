// How projects come into being without the management API: by a first push, and around repositories that are there already.
import { recordOwnChange } from '#access/audit/own-entries.ts'
import type { Db, Transaction } from '#db/db.ts'
import { findProject, insertProject, projectlessNames, setUserRole } from '#db/projects.ts'
import { findUser } from '#db/users.ts'
import { isProjectName, projectOf } from '#identity/account-name.ts'
import type { Caller } from '#identity/caller.ts'
import type { Visibility } from '#identity/role.ts'
import type { Guard } from '#registry/guards.ts'

export interface ProjectBirthsOptions {
  readonly db: Db
  /** Of a project that a push makes. */
  readonly visibility: Visibility
  readonly projectDepth: number
  readonly now: () => number
}

/**
 * Makes the project of a push where it is missing; whoever pushes owns it. That he may is known: without a project only who
 * may make one has the right to push.
 */
export function projectGuard({
  db,
  visibility,
  projectDepth,
  now,
}: ProjectBirthsOptions): Guard & Required<Pick<Guard, 'check'>> {
  return {
    name: 'projects',
    async check(intent, caller) {
      if (intent.kind !== 'push-blob' && intent.kind !== 'push-manifest') return
      const name = projectOf(intent.repository, projectDepth)
      if (await findProject(db, name)) return
      await db.transaction((tx) => makeProject(tx, { name, visibility, now: now() }, caller))
    },
  }
}

function ownerOf({ principal }: Caller): string | undefined {
  return principal.kind === 'user' ? principal.name : undefined
}

async function makeProject(
  tx: Transaction,
  project: { name: string; visibility: Visibility; now: number },
  caller: Caller,
): Promise<void> {
  if (!(await insertProject(tx, project))) return
  const { name, now } = project
  const change = { action: 'projects.created', target: name, project: name, by: 'a push' }
  await recordOwnChange(tx, { ...change, at: now, caller })
  const owner = ownerOf(caller)
  if (owner === undefined) return
  const [made, user] = [await findProject(tx, project.name), await findUser(tx, owner)]
  if (made && user) await setUserRole(tx, { projectId: made.id, userId: user.id, role: 'owner' })
}

/**
 * Repositories without a project, from before there were any, are put into private ones: nobody but an admin could reach
 * them otherwise. Resolves to the names of the projects that were made.
 */
export async function adoptRepositories(db: Db, now: () => number): Promise<string[]> {
  const names = (await projectlessNames(db)).filter((name) => isProjectName(name))
  for (const name of names) {
    await db.transaction(async (tx) => {
      const at = now()
      if (!(await insertProject(tx, { name, visibility: 'private', now: at }))) return
      const change = { action: 'projects.created', target: name, project: name }
      await recordOwnChange(tx, { ...change, at, by: 'repositories that were in none' })
    })
  }
  return names
}
