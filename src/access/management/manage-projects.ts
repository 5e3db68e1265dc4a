// Projects and their members.
import {
  checkUpdated,
  checkVersion,
  type Listed,
  listed,
  type Management,
  type Manager,
  type Paging,
  timeText,
  unknown,
} from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import type { Executor } from '#db/db.ts'
import { findGroup } from '#db/groups.ts'
import {
  deleteProject,
  findProject,
  hasRepositories,
  insertProject,
  type Member,
  membersOf,
  type ProjectRecord,
  projectPage,
  readableProjects,
  removeGroupRole,
  removeUserRole,
  rolesOf,
  setGroupRole,
  setUserRole,
  updateProject,
} from '#db/projects.ts'
import { findUser } from '#db/users.ts'
import { isProjectName, PLAIN_NAME_RULE } from '#identity/account-name.ts'
import type { Role, Visibility } from '#identity/role.ts'

export interface ProjectView {
  readonly name: string
  readonly visibility: Visibility
  readonly createdAt: string | null
  readonly version: number
}

/** What somebody may do with a project itself, as `needs` of a route asks for it. */
export type Standing = 'none' | 'reader' | 'member' | 'maintainer' | 'owner'

function viewOf({ name, visibility, createdAt, version }: ProjectRecord): ProjectView {
  return { name, visibility, createdAt: timeText(createdAt), version }
}

export async function standingIn({ db }: Management, manager: Manager, name: string): Promise<Standing> {
  if (manager.systemRole === 'admin') return 'owner'
  const project = await findProject(db, name)
  const roles = project ? await rolesOf(db, project.id, manager.userId) : []
  if (roles.includes('owner')) return 'owner'
  if (roles.includes('maintainer')) return 'maintainer'
  if (roles.length > 0) return 'member'
  return project && project.visibility !== 'private' ? 'reader' : 'none'
}

export async function listProjects(
  { db }: Management,
  manager: Manager,
  { after, limit }: Paging,
): Promise<Listed<ProjectView>> {
  if (manager.systemRole !== null) {
    const rows = await projectPage(db, after, limit + 1)
    return listed(rows.map(viewOf), limit, ({ name }) => name)
  }
  const names = (await readableProjects(db, manager.userId)).filter((name) => name > after).sort()
  const views: ProjectView[] = []
  for (const name of names.slice(0, limit + 1)) {
    const project = await findProject(db, name)
    if (project) views.push(viewOf(project))
  }
  return listed(views, limit, ({ name }) => name)
}

export async function getProject({ db }: Management, name: string): Promise<ProjectView> {
  return viewOf(await existingProject(db, name))
}

/**
 * Whoever makes it owns it. Repositories that are there already, in no project, are in it from then on: whose they are an
 * admin decides, and to others the name is taken.
 */
export async function createProject(
  management: Management,
  manager: Manager,
  { name, visibility }: { name: string; visibility: Visibility },
): Promise<ProjectView> {
  if (!isProjectName(name)) {
    throw new Refusal('invalid', `the name of a project ${PLAIN_NAME_RULE}`)
  }
  const now = management.now()
  await management.db.transaction(async (tx) => {
    const isFree = manager.systemRole === 'admin' || !(await hasRepositories(tx, name))
    if (!isFree || !(await insertProject(tx, { name, visibility, now })))
      throw new Refusal('taken', `the name ${name} is taken`)
    const { id: projectId } = await existingProject(tx, name)
    await setUserRole(tx, { projectId, userId: manager.userId, role: 'owner' })
  })
  return getProject(management, name)
}

export async function changeProject(
  management: Management,
  name: string,
  changes: { visibility?: Visibility | undefined },
  version: number | undefined,
): Promise<ProjectView> {
  await management.db.transaction(async (tx) => {
    const updated = await updateProject(tx, name, changes, { now: management.now(), version })
    checkUpdated(updated, `the project ${name}`, (await findProject(tx, name)) !== undefined)
  })
  return getProject(management, name)
}

/** Only when it is empty: what is in it would belong to nobody. */
export async function removeProject(
  { db, directory, now }: Management,
  name: string,
  version: number | undefined,
): Promise<void> {
  const at = now()
  await db.transaction(async (tx) => {
    checkVersion(await existingProject(tx, name), version, `the project ${name}`)
    if (await hasRepositories(tx, name))
      throw new Refusal('conflict', `the project ${name} has content: delete that first`)
    await deleteProject(tx, name, at)
  })
  directory.projectDeleted(name, at)
}

export async function listMembers({ db }: Management, name: string): Promise<readonly Member[]> {
  return membersOf(db, (await existingProject(db, name)).id)
}

export async function setMember(
  { db }: Management,
  project: string,
  { kind, name, role }: { kind: 'user' | 'group'; name: string; role: Role },
): Promise<Member> {
  await db.transaction(async (tx) => {
    const { id: projectId } = await existingProject(tx, project)
    if (kind === 'user') {
      const user = await findUser(tx, name)
      if (!user) throw unknown(`the user ${name}`)
      await setUserRole(tx, { projectId, userId: user.id, role })
    } else {
      const group = await findGroup(tx, name)
      if (!group) throw unknown(`the group ${name}`)
      await setGroupRole(tx, { projectId, groupId: group.id, role })
    }
  })
  return { kind, name, role }
}

export async function removeMember(
  { db }: Management,
  project: string,
  { kind, name }: { kind: 'user' | 'group'; name: string },
): Promise<void> {
  await db.transaction(async (tx) => {
    const { id: projectId } = await existingProject(tx, project)
    const found = await (kind === 'user' ? findUser(tx, name) : findGroup(tx, name))
    const removed =
      found && (await (kind === 'user' ? removeUserRole : removeGroupRole)(tx, projectId, found.id))
    if (!removed) throw unknown(`the ${kind} ${name} in the project ${project}`)
  })
}

/** @throws Refusal unknown */
export async function existingProject(db: Executor, name: string): Promise<ProjectRecord> {
  const project = await findProject(db, name)
  if (!project) throw unknown(`the project ${name}`)
  return project
}
