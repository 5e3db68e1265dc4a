// Robots and API keys: secrets are made here, and shown once.
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
import { type Permission, parsePermissions } from '#access/permissions.ts'
import { hasSponsor } from '#access/robot-sponsor.ts'
import { newSecret } from '#access/secrets.ts'
import { apiKeysOf, deleteApiKey, insertApiKey } from '#db/api-keys.ts'
import type { Executor } from '#db/db.ts'
import { findProject } from '#db/projects.ts'
import { deleteRefreshTokens } from '#db/refresh-tokens.ts'
import {
  deleteRobot,
  findRobot,
  insertRobot,
  type RobotRecord,
  robotPage,
  rotateRobotSecret,
  updateRobot,
} from '#db/robots.ts'
import { findUserById } from '#db/users.ts'
import { isUserName, PLAIN_NAME_RULE, robotName } from '#identity/account-name.ts'

/** Jobs that run with the secret until now may end. */
export const ROTATION_OVERLAP_MS_MAX = 30 * 24 * 3_600_000

export interface RobotView {
  /** To log in with: `team+ci`, or `+backup`. */
  readonly name: string
  readonly permissions: readonly Permission[]
  readonly expiresAt: string | null
  readonly disabled: boolean
  /** The user who answers for it; null where nobody is remembered. */
  readonly sponsor: string | null
  /** Its sponsor left, or could not make it any more: it is not let in until somebody else enables it or rotates its secret. */
  readonly isOrphaned: boolean
  readonly createdAt: string | null
  readonly version: number
}

export type WithSecret<T> = T & { readonly secret: string }

async function viewOf(db: Executor, robot: RobotRecord): Promise<RobotView> {
  const sponsor = robot.createdBy === null ? undefined : await findUserById(db, robot.createdBy)
  const { name, permissions, expiresAt, disabledAt, createdAt, version } = robot
  return {
    name,
    permissions: parsePermissions(permissions),
    expiresAt: timeText(expiresAt),
    disabled: disabledAt !== null,
    sponsor: sponsor?.name ?? null,
    isOrphaned: !(await hasSponsor(db, robot)),
    createdAt: timeText(createdAt),
    version,
  }
}

/** Of a project, or of the whole registry without one. */
export async function listRobots(
  { db }: Management,
  project: string | undefined,
  { after, limit }: Paging,
): Promise<Listed<RobotView>> {
  const rows = await robotPage(db, await projectId(db, project), after, limit + 1)
  const views: RobotView[] = []
  for (const row of rows) views.push(await viewOf(db, row))
  return listed(views, limit, ({ name }) => name)
}

export async function getRobot(
  { db }: Management,
  project: string | undefined,
  name: string,
): Promise<RobotView> {
  return viewOf(db, await robotIn(db, project, name))
}

export async function createRobot(
  { db, now }: Management,
  manager: Manager,
  project: string | undefined,
  input: { name: string; permissions: readonly Permission[]; expiresAt?: number | null | undefined },
): Promise<WithSecret<RobotView>> {
  if (!isUserName(input.name)) {
    throw new Refusal('invalid', `the name of a robot ${PLAIN_NAME_RULE}`)
  }
  const name = robotName(project, input.name)
  const secret = newSecret('robot')
  const robot = await db.transaction(async (tx) => {
    const inserted = await insertRobot(tx, {
      name,
      projectId: await projectId(tx, project),
      secretHash: secret.hash,
      permissions: JSON.stringify(input.permissions),
      expiresAt: input.expiresAt ?? null,
      createdBy: manager.userId,
      now: now(),
    })
    if (!inserted) throw new Refusal('taken', `there is a robot ${name} already`)
    return viewOf(tx, await robotIn(tx, project, name))
  })
  return { ...robot, secret: secret.text }
}

/** Who enables it answers for it from then on. */
export async function changeRobot(
  { db, now }: Management,
  manager: Manager,
  project: string | undefined,
  name: string,
  input: {
    permissions?: readonly Permission[] | undefined
    expiresAt?: number | null | undefined
    disabled?: boolean | undefined
  },
  version: number | undefined,
): Promise<RobotView> {
  const at = now()
  const { permissions, expiresAt, disabled } = input
  return db.transaction(async (tx) => {
    await robotIn(tx, project, name)
    const changes = {
      permissions: permissions && JSON.stringify(permissions),
      expiresAt,
      disabledAt: disabled === undefined ? undefined : disabled ? at : null,
      createdBy: disabled === false ? manager.userId : undefined,
    }
    checkUpdated(await updateRobot(tx, name, changes, { now: at, version }), `the robot ${name}`, true)
    if (disabled === true) await deleteRefreshTokens(tx, name)
    return viewOf(tx, await robotIn(tx, project, name))
  })
}

/** The old secret is good for another `overlapMs`. Who asks for the new one answers for the robot from then on. */
export async function rotateRobot(
  { db, now }: Management,
  manager: Manager,
  project: string | undefined,
  name: string,
  overlapMs: number,
  version: number | undefined,
): Promise<WithSecret<RobotView>> {
  const secret = newSecret('robot')
  const at = now()
  const robot = await db.transaction(async (tx) => {
    checkVersion(await robotIn(tx, project, name), version, `the robot ${name}`)
    const sponsor = { createdBy: manager.userId, now: at }
    await rotateRobotSecret(tx, name, {
      ...{ secretHash: secret.hash, previousUntil: at + overlapMs, ...sponsor },
    })
    if (overlapMs === 0) await deleteRefreshTokens(tx, name)
    return viewOf(tx, await robotIn(tx, project, name))
  })
  return { ...robot, secret: secret.text }
}

export async function removeRobot(
  { db }: Management,
  project: string | undefined,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    checkVersion(await robotIn(tx, project, name), version, `the robot ${name}`)
    await deleteRobot(tx, name)
  })
}

/** @throws Refusal unknown, also for a robot of another project */
export async function robotIn(db: Executor, project: string | undefined, name: string): Promise<RobotRecord> {
  const robot = await findRobot(db, name)
  if (!robot || robot.projectId !== (await projectId(db, project))) throw unknown(`the robot ${name}`)
  return robot
}

async function projectId(db: Executor, project: string | undefined): Promise<number | null> {
  if (project === undefined) return null
  const found = await findProject(db, project)
  if (!found) throw unknown(`the project ${project}`)
  return found.id
}

export interface KeyView {
  readonly name: string
  /** Null for all that its user may. */
  readonly permissions: readonly Permission[] | null
  readonly expiresAt: string | null
  readonly createdAt: string | null
}

export async function listKeys({ db }: Management, { userId }: Manager): Promise<readonly KeyView[]> {
  return (await apiKeysOf(db, userId)).map(({ name, permissions, expiresAt, createdAt }) => ({
    name,
    permissions: permissions === null ? null : parsePermissions(permissions),
    expiresAt: timeText(expiresAt),
    createdAt: timeText(createdAt),
  }))
}

export async function createKey(
  management: Management,
  manager: Manager,
  input: {
    name: string
    permissions?: readonly Permission[] | null | undefined
    expiresAt?: number | null | undefined
  },
): Promise<WithSecret<KeyView>> {
  const { name, permissions = null } = input
  const secret = newSecret('key')
  const key = {
    userId: manager.userId,
    name,
    secretHash: secret.hash,
    permissions: permissions && JSON.stringify(permissions),
    expiresAt: input.expiresAt ?? null,
    now: management.now(),
  }
  if (!(await management.db.transaction((tx) => insertApiKey(tx, key))))
    throw new Refusal('taken', `you have a key ${name} already`)
  const made = (await listKeys(management, manager)).find((view) => view.name === name)
  if (!made) throw unknown(`the key ${name}`)
  return { ...made, secret: secret.text }
}

export async function removeKey({ db }: Management, { userId }: Manager, name: string): Promise<void> {
  if (!(await db.transaction((tx) => deleteApiKey(tx, userId, name)))) throw unknown(`the key ${name}`)
}
