// Projects, who is in them, and when one of that name was deleted last.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Role, Visibility } from '#identity/role.ts'

export interface ProjectRecord {
  readonly id: number
  readonly name: string
  readonly visibility: Visibility
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

export interface Member {
  readonly kind: 'user' | 'group'
  readonly name: string
  readonly role: Role
}

const COLUMNS = [
  'id',
  'name',
  'visibility',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'version',
] as const

const byName = hot<{ name: string }>()((db, p) =>
  db.selectFrom('projects').select(COLUMNS).where('name', '=', p.name),
)

const rolesIn = hot<{ projectId: number; userId: number }>()((db, p) =>
  db
    .selectFrom('project_users')
    .select('role')
    .where('user_id', '=', p.userId)
    .where('project_id', '=', p.projectId)
    .unionAll(
      db
        .selectFrom('group_members')
        .innerJoin('project_groups', 'project_groups.group_id', 'group_members.group_id')
        .select('role')
        .where('group_members.user_id', '=', p.userId)
        .where('project_groups.project_id', '=', p.projectId),
    ),
)

const readableNames = hot<{ userId: number; open: Visibility; wider: Visibility }>()((db, p) =>
  db
    .selectFrom('projects')
    .select('name')
    .where('visibility', '=', p.open)
    .union(db.selectFrom('projects').select('name').where('visibility', '=', p.wider))
    .union(
      db
        .selectFrom('project_users')
        .innerJoin('projects', 'projects.id', 'project_users.project_id')
        .select('name')
        .where('user_id', '=', p.userId),
    )
    .union(
      db
        .selectFrom('group_members')
        .innerJoin('project_groups', 'project_groups.group_id', 'group_members.group_id')
        .innerJoin('projects', 'projects.id', 'project_groups.project_id')
        .select('name')
        .where('user_id', '=', p.userId),
    ),
)

export function findProject(db: Executor, name: string): Promise<ProjectRecord | undefined> {
  return db.first(byName, { name })
}

/** False when the name is taken. */
export async function insertProject(
  tx: Transaction,
  project: { name: string; visibility: Visibility; now: number },
): Promise<boolean> {
  const { name, visibility, now } = project
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('projects')
    .values({ name, visibility, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when the project is gone, or has another version than the one that is expected. */
export async function updateProject(
  tx: Transaction,
  name: string,
  { visibility }: { visibility?: Visibility | undefined },
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('projects')
    .set((set) => ({
      ...(visibility !== undefined && { visibility }),
      updated_at: now,
      version: set('version', '+', 1),
    }))
    .where('name', '=', name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Its members and robots go with it; a tombstone stays. */
export async function deleteProject(tx: Transaction, name: string, now: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('projects')
    .where('name', '=', name)
    .executeTakeFirst()
  if (numDeletedRows === 0n) return false
  await tx.kysely
    .insertInto('project_tombstones')
    .values({ name, deleted_at: now })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ deleted_at: now }))
    .execute()
  return true
}

export function tombstones(db: Executor): Promise<{ name: string; deletedAt: number }[]> {
  return db.kysely.selectFrom('project_tombstones').select(['name', 'deleted_at as deletedAt']).execute()
}

/** By name, after `last` exclusively. */
export function projectPage(db: Executor, last: string, limit: number): Promise<ProjectRecord[]> {
  return db.kysely
    .selectFrom('projects')
    .select(COLUMNS)
    .where('name', '>', last)
    .orderBy('name')
    .limit(limit)
    .execute()
}

/** The roles of a user, his own and those of his groups. */
export async function rolesOf(db: Executor, projectId: number, userId: number): Promise<Role[]> {
  return (await db.all(rolesIn, { projectId, userId })).map(({ role }) => role)
}

/** Names of all projects that a user may pull from; of those that are open to everybody, without a user. */
export async function readableProjects(db: Executor, userId: number | undefined): Promise<string[]> {
  const wider = userId === undefined ? 'public' : 'authenticated'
  const rows = await db.all(readableNames, { userId: userId ?? -1, open: 'public', wider })
  return rows.map(({ name }) => name)
}

/** Whether a project has repositories with content; also for a name that is no project. */
export async function hasRepositories(db: Executor, project: string): Promise<boolean> {
  const row = await db.kysely
    .selectFrom('repositories')
    .select('id')
    .where('project', '=', project)
    .where((where) =>
      where.or([
        where.exists(
          where
            .selectFrom('repository_blobs')
            .select('blob_id')
            .whereRef('repository_id', '=', 'repositories.id'),
        ),
        where.exists(
          where.selectFrom('manifests').select('id').whereRef('repository_id', '=', 'repositories.id'),
        ),
      ]),
    )
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** Names of projects that repositories belong to by their names, and that are not there. */
export async function projectlessNames(db: Executor): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('repositories')
    .select('project')
    .distinct()
    .where('project', 'not in', (projects) => projects.selectFrom('projects').select('name'))
    .orderBy('project')
    .execute()
  return rows.map(({ project }) => project)
}

export async function setUserRole(
  tx: Transaction,
  member: { projectId: number; userId: number; role: Role },
): Promise<void> {
  const { projectId, userId, role } = member
  await tx.kysely
    .insertInto('project_users')
    .values({ project_id: projectId, user_id: userId, role })
    .onConflict((conflict) => conflict.columns(['user_id', 'project_id']).doUpdateSet({ role }))
    .execute()
}

export async function setGroupRole(
  tx: Transaction,
  member: { projectId: number; groupId: number; role: Role },
): Promise<void> {
  const { projectId, groupId, role } = member
  await tx.kysely
    .insertInto('project_groups')
    .values({ project_id: projectId, group_id: groupId, role })
    .onConflict((conflict) => conflict.columns(['group_id', 'project_id']).doUpdateSet({ role }))
    .execute()
}

export async function removeUserRole(tx: Transaction, projectId: number, userId: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('project_users')
    .where('project_id', '=', projectId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

export async function removeGroupRole(tx: Transaction, projectId: number, groupId: number): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('project_groups')
    .where('project_id', '=', projectId)
    .where('group_id', '=', groupId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Users first, then groups, each by name. */
export async function membersOf(db: Executor, projectId: number): Promise<Member[]> {
  const users = await db.kysely
    .selectFrom('project_users')
    .innerJoin('users', 'users.id', 'project_users.user_id')
    .select(['users.name', 'role'])
    .where('project_id', '=', projectId)
    .orderBy('users.name')
    .execute()
  const groups = await db.kysely
    .selectFrom('project_groups')
    .innerJoin('groups', 'groups.id', 'project_groups.group_id')
    .select(['groups.name', 'role'])
    .where('project_id', '=', projectId)
    .orderBy('groups.name')
    .execute()
  return [
    ...users.map((member): Member => ({ kind: 'user', ...member })),
    ...groups.map((member): Member => ({ kind: 'group', ...member })),
  ]
}
