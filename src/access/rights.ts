// What somebody may do with a repository, decided by names alone: whether it exists is not looked at.
import { type Permission, parsePermissions, permittedRights } from '#access/permissions.ts'
import { hasSponsor } from '#access/robot-sponsor.ts'
import { type AppliedRule, rulesApplying } from '#db/access-rules.ts'
import { findApiKey } from '#db/api-keys.ts'
import type { Executor } from '#db/db.ts'
import { findProject, hasRepositories, type ProjectRecord, readableProjects, rolesOf } from '#db/projects.ts'
import { findRobot } from '#db/robots.ts'
import { findUser, type UserRecord } from '#db/users.ts'
import { projectOf } from '#identity/account-name.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import { RIGHTS, type Right, rightsOf, type SystemRole, strongerRole } from '#identity/role.ts'
import { matchesGlob } from '#lib/glob.ts'
import type { RepositoryName } from '#oci/reference.ts'

/** Who somebody is, as far as rights go. */
export type Identity =
  | { readonly kind: 'anonymous'; readonly principal: Principal }
  | {
      readonly kind: 'user'
      readonly principal: Principal
      readonly userId: number
      readonly systemRole: SystemRole | null
      /** What the API key allows at most; null without one, or for one that allows everything. */
      readonly permissions: readonly Permission[] | null
    }
  | {
      readonly kind: 'robot'
      readonly principal: Principal
      readonly robotId: number
      /** It may do nothing outside; null for a robot of the whole registry. */
      readonly projectId: number | null
      readonly permissions: readonly Permission[]
      /** Whoever speaks for it may do so until then, in milliseconds since 1970; absent for as long as it is there. */
      readonly until?: number
    }

export const ANONYMOUS_IDENTITY: Identity = { kind: 'anonymous', principal: ANONYMOUS }

export interface RightsOptions {
  /** Whose first push makes a project. */
  readonly projectCreation: 'admins' | 'everyone'
  /** How many components of a repository's name can name its project. */
  readonly projectDepth: number
}

/** Who that is now; undefined when disabled, expired or deleted. */
export async function findIdentity(
  db: Executor,
  principal: Principal,
  now: number,
): Promise<Identity | undefined> {
  if (principal.kind === 'anonymous') return ANONYMOUS_IDENTITY
  if (principal.kind === 'robot') return findRobotIdentity(db, principal.name, now)
  const user = await findUser(db, principal.name)
  if (!user || user.disabledAt !== null) return undefined
  if (principal.key === undefined) return userIdentity(user, null)
  const key = await findApiKey(db, principal.key)
  if (!key || key.userName !== user.name || isOver(key.expiresAt, now)) return undefined
  return userIdentity(user, { id: key.id, permissions: key.permissions })
}

export function userIdentity(
  user: UserRecord,
  key: { readonly id: number; readonly permissions: string | null } | null,
): Identity {
  return {
    kind: 'user',
    principal: { kind: 'user', name: user.name, ...(key && { key: key.id }) },
    userId: user.id,
    systemRole: strongerRole(user.systemRole, user.externalRole),
    permissions: key && key.permissions !== null ? parsePermissions(key.permissions) : null,
  }
}

export async function findRobotIdentity(
  db: Executor,
  name: string,
  now: number,
): Promise<Identity | undefined> {
  const robot = await findRobot(db, name)
  if (!robot || robot.disabledAt !== null || isOver(robot.expiresAt, now)) return undefined
  if (!(await hasSponsor(db, robot))) return undefined
  return {
    kind: 'robot',
    principal: { kind: 'robot', name: robot.name },
    robotId: robot.id,
    projectId: robot.projectId,
    permissions: parsePermissions(robot.permissions),
  }
}

export function isOver(at: number | null, now: number): boolean {
  return at !== null && at <= now
}

export async function rightsIn(
  db: Executor,
  identity: Identity,
  repository: RepositoryName,
  options: RightsOptions,
): Promise<ReadonlySet<Right>> {
  const project = await findProject(db, projectOf(repository, options.projectDepth))
  const rules = project ? await rulesApplying(db, idsOf(identity), project.name) : []
  const ruled = ruledRights(rules, repository)
  const own = await ownRights(db, identity, { repository, project, ruled }, options)
  const isOpen =
    project?.visibility === 'public' ||
    (project?.visibility === 'authenticated' && isFull(identity)) ||
    ruled.allowedToAll.has('pull')
  return isOpen && !ruled.denied.has('pull') ? own.add('pull') : own
}

function idsOf(identity: Identity): { userId?: number; robotId?: number } {
  if (identity.kind === 'anonymous') return {}
  return identity.kind === 'user' ? { userId: identity.userId } : { robotId: identity.robotId }
}

interface RuledRights {
  /** By rules that name him or a group of his. */
  readonly allowed: ReadonlySet<Right>
  /** By rules for everyone. */
  readonly allowedToAll: ReadonlySet<Right>
  /** Wins over whatever allows, but for what a role of the whole registry gives. */
  readonly denied: ReadonlySet<Right>
}

function ruledRights(rules: readonly AppliedRule[], repository: RepositoryName): RuledRights {
  const matching = rules.filter((rule) => matchesGlob(rule.repository, repository))
  const rightsOfSome = (wanted: (rule: AppliedRule) => boolean) =>
    new Set(matching.filter(wanted).flatMap(({ rights }) => rights))
  return {
    allowed: rightsOfSome(({ effect, isForEveryone }) => effect === 'allow' && !isForEveryone),
    allowedToAll: rightsOfSome(({ effect, isForEveryone }) => effect === 'allow' && isForEveryone),
    denied: rightsOfSome(({ effect }) => effect === 'deny'),
  }
}

/** Logged in, and not with a key that was narrowed on purpose. */
function isFull(identity: Identity): boolean {
  return identity.kind === 'robot' || (identity.kind === 'user' && identity.permissions === null)
}

interface Place {
  readonly repository: RepositoryName
  readonly project: ProjectRecord | undefined
  readonly ruled: RuledRights
}

async function ownRights(
  db: Executor,
  identity: Identity,
  { repository, project, ruled }: Place,
  options: RightsOptions,
): Promise<Set<Right>> {
  if (identity.kind === 'anonymous') return new Set()
  if (identity.kind === 'robot') {
    const isInside = identity.projectId === null || identity.projectId === project?.id
    const permitted = isInside ? permittedRights(identity.permissions, repository) : new Set<Right>()
    return permitted.union(ruled.allowed).difference(ruled.denied)
  }
  const rights = await rightsOfUser(db, identity, { repository, project, ruled }, options)
  return identity.permissions === null
    ? rights
    : rights.intersection(permittedRights(identity.permissions, repository))
}

async function rightsOfUser(
  db: Executor,
  user: Identity & { kind: 'user' },
  { repository, project, ruled }: Place,
  { projectCreation, projectDepth }: RightsOptions,
): Promise<Set<Right>> {
  if (user.systemRole === 'admin') return new Set(RIGHTS)
  const asAuditor: readonly Right[] = user.systemRole === 'auditor' ? ['pull'] : []
  // A project comes into being with the first push, and belongs to whoever pushed.
  if (!project) {
    // Content without a project came from another program, and is not for whoever asks first.
    const name = projectOf(repository, projectDepth)
    const isFree = projectCreation === 'everyone' && !(await hasRepositories(db, name))
    return new Set(isFree ? RIGHTS : asAuditor)
  }
  const roles = await rolesOf(db, project.id, user.userId)
  const asMember = new Set<Right>([
    ...roles.flatMap(rightsOf),
    ...(project.visibility === 'authenticated' ? ['pull' as const] : []),
  ])
  return asMember.union(ruled.allowed).difference(ruled.denied).union(new Set(asAuditor))
}

/** What the identity sees in lists and may mount from. A few queries, however many repositories there are. */
export async function readableBy(
  db: Executor,
  identity: Identity,
  { projectDepth }: Pick<RightsOptions, 'projectDepth'>,
): Promise<Readable> {
  const overseesAll = identity.kind === 'user' && identity.systemRole !== null
  if (overseesAll && identity.permissions === null) return 'everything'
  const isOpen = await projectTest(db, undefined)
  const inProject = await readableProjectsOf(db, identity)
  const rules = Map.groupBy(
    (await rulesApplying(db, idsOf(identity))).filter(({ rights }) => rights.includes('pull')),
    ({ project }) => project,
  )
  const permissions = identity.kind === 'anonymous' ? null : identity.permissions
  return (name) => {
    const project = projectOf(name, projectDepth)
    const ruled = ruledRights(rules.get(project) ?? [], name)
    const isDenied = ruled.denied.has('pull') && !overseesAll
    if (isDenied) return false
    if (isOpen(project) || ruled.allowedToAll.has('pull')) return true
    if (identity.kind === 'robot') return inProject(project, name) || ruled.allowed.has('pull')
    const isHis = overseesAll || inProject(project, name) || ruled.allowed.has('pull')
    return isHis && (permissions === null || permittedRights(permissions, name).has('pull'))
  }
}

type ProjectTest = (project: string, name: RepositoryName) => boolean

/** Names of projects that the user may pull from; of those that are open to everybody, without a user. */
async function projectTest(db: Executor, userId: number | undefined): Promise<(project: string) => boolean> {
  const names = new Set(await readableProjects(db, userId))
  return (project) => names.has(project)
}

async function readableProjectsOf(db: Executor, identity: Identity): Promise<ProjectTest> {
  if (identity.kind === 'anonymous') return () => false
  if (identity.kind === 'user') return projectTest(db, identity.userId)
  const wider = await projectTest(db, NOBODY)
  const inside = await nameOfProject(db, identity.projectId)
  return (project, name) =>
    wider(project) ||
    ((inside === undefined || inside === project) && permittedRights(identity.permissions, name).has('pull'))
}

/** No user has this id: what is readable for it is so for everyone who logged in. */
const NOBODY = -1

async function nameOfProject(db: Executor, id: number | null): Promise<string | undefined> {
  if (id === null) return undefined
  const row = await db.kysely.selectFrom('projects').select('name').where('id', '=', id).executeTakeFirst()
  return row?.name ?? ''
}
