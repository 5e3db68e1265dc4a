// Robots: accounts for machines, each with its own permissions.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { deleteRefreshTokens } from '#db/refresh-tokens.ts'

export interface RobotRecord {
  readonly id: number
  readonly projectId: number | null
  readonly name: string
  readonly secretHash: string
  readonly previousSecretHash: string | null
  readonly previousSecretUntil: number | null
  /** JSON */
  readonly permissions: string
  readonly expiresAt: number | null
  readonly disabledAt: number | null
  /** Id of the user who answers for it. */
  readonly createdBy: number | null
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

const COLUMNS = [
  'id',
  'project_id as projectId',
  'name',
  'secret_hash as secretHash',
  'previous_secret_hash as previousSecretHash',
  'previous_secret_until as previousSecretUntil',
  'permissions',
  'expires_at as expiresAt',
  'disabled_at as disabledAt',
  'created_by as createdBy',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'version',
] as const

const byName = hot<{ name: string }>()((db, p) =>
  db.selectFrom('robots').select(COLUMNS).where('name', '=', p.name),
)

export function findRobot(db: Executor, name: string): Promise<RobotRecord | undefined> {
  return db.first(byName, { name })
}

/** False when the name is taken. */
export async function insertRobot(
  tx: Transaction,
  robot: {
    name: string
    projectId: number | null
    secretHash: string
    permissions: string
    expiresAt: number | null
    createdBy?: number | undefined
    now: number
  },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('robots')
    .values({
      name: robot.name,
      project_id: robot.projectId,
      secret_hash: robot.secretHash,
      previous_secret_hash: null,
      previous_secret_until: null,
      permissions: robot.permissions,
      expires_at: robot.expiresAt,
      disabled_at: null,
      created_by: robot.createdBy ?? null,
      created_at: robot.now,
      updated_at: robot.now,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

export interface RobotChanges {
  readonly permissions?: string | undefined
  readonly expiresAt?: number | null | undefined
  readonly disabledAt?: number | null | undefined
  readonly createdBy?: number | undefined
}

/** False when the robot is gone, or has another version than the one that is expected. */
export async function updateRobot(
  tx: Transaction,
  name: string,
  { permissions, expiresAt, disabledAt, createdBy }: RobotChanges,
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('robots')
    .set((set) => ({
      ...(permissions !== undefined && { permissions }),
      ...(expiresAt !== undefined && { expires_at: expiresAt }),
      ...(disabledAt !== undefined && { disabled_at: disabledAt }),
      ...(createdBy !== undefined && { created_by: createdBy }),
      updated_at: now,
      version: set('version', '+', 1),
    }))
    .where('name', '=', name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** The secret until now stays good until `previousUntil`. */
export async function rotateRobotSecret(
  tx: Transaction,
  name: string,
  {
    secretHash,
    previousUntil,
    createdBy,
    now,
  }: {
    readonly secretHash: string
    readonly previousUntil: number
    readonly createdBy?: number | undefined
    readonly now: number
  },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('robots')
    .set((set) => ({
      previous_secret_hash: set.ref('secret_hash'),
      previous_secret_until: previousUntil,
      secret_hash: secretHash,
      ...(createdBy !== undefined && { created_by: createdBy }),
      updated_at: now,
      version: set('version', '+', 1),
    }))
    .where('name', '=', name)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Its refresh tokens go with it. */
export async function deleteRobot(tx: Transaction, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely.deleteFrom('robots').where('name', '=', name).executeTakeFirst()
  await deleteRefreshTokens(tx, name)
  return numDeletedRows > 0n
}

/** Of a project, or of the whole registry (null); by name, after `last` exclusively. */
export function robotPage(
  db: Executor,
  projectId: number | null,
  last: string,
  limit: number,
): Promise<RobotRecord[]> {
  return db.kysely
    .selectFrom('robots')
    .select(COLUMNS)
    .where('project_id', projectId === null ? 'is' : '=', projectId)
    .where('name', '>', last)
    .orderBy('name')
    .limit(limit)
    .execute()
}

/** When the user who answers for them goes: nobody would know whose they are. */
export async function disableRobotsOf(tx: Transaction, userId: number, now: number): Promise<void> {
  await tx.kysely
    .updateTable('robots')
    .set((set) => ({ disabled_at: now, updated_at: now, version: set('version', '+', 1) }))
    .where('created_by', '=', userId)
    .where('disabled_at', 'is', null)
    .execute()
}
