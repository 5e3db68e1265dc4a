// Rules inside projects: what is allowed or denied beyond the roles of the members.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Right } from '#identity/role.ts'

export type SubjectKind = 'user' | 'group' | 'robot'

/** Whom a rule is for, by the id of the row that names him; undefined for everyone, logged in or not. */
export type Subject = { readonly kind: SubjectKind; readonly id: number } | undefined

export interface AccessRule {
  readonly effect: 'allow' | 'deny'
  /** Pattern of whole names of repositories. */
  readonly repository: string
  readonly rights: readonly Right[]
}

/** A rule that holds for somebody. */
export interface AppliedRule extends AccessRule {
  /** The project that it belongs to. */
  readonly project: string
  readonly isForEveryone: boolean
}

export interface AccessRuleRecord extends AccessRule {
  readonly name: string
  /** Undefined for everyone. */
  readonly subject: { readonly kind: SubjectKind; readonly name: string } | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

/** Ids that no row has. */
const NO_ID = -1

interface Who {
  readonly userId: number
  readonly robotId: number
}

/** Of rules that are for everyone, for the user or a group of his, or for the robot. */
const applied = (where: 'one project' | 'all projects') =>
  hot<Who & { project: string }>()((db, p) => {
    const rules = db
      .selectFrom('access_rules as a')
      .innerJoin('projects as p', 'p.id', 'a.project_id')
      .select([
        'p.name as project',
        'a.effect',
        'a.repository',
        'a.rights',
        'a.user_id',
        'a.group_id',
        'a.robot_id',
      ])
      .where((is) =>
        is.or([
          is('a.user_id', '=', p.userId),
          is('a.robot_id', '=', p.robotId),
          is(
            'a.group_id',
            'in',
            db.selectFrom('group_members').select('group_id').where('user_id', '=', p.userId),
          ),
          is.and([is('a.user_id', 'is', null), is('a.group_id', 'is', null), is('a.robot_id', 'is', null)]),
        ]),
      )
    return where === 'one project' ? rules.where('p.name', '=', p.project) : rules
  })

const inProject = applied('one project')
const everywhere = applied('all projects')

/** The rules that hold for somebody, in one project or in all of them. */
export async function rulesApplying(
  db: Executor,
  { userId = NO_ID, robotId = NO_ID }: Partial<Who>,
  project?: string,
): Promise<AppliedRule[]> {
  const query = project === undefined ? everywhere : inProject
  const rows = await db.all(query, { userId, robotId, project: project ?? '' })
  return rows.map((row) => ({
    project: row.project,
    effect: row.effect,
    repository: row.repository,
    rights: JSON.parse(row.rights) as Right[],
    isForEveryone: row.user_id === null && row.group_id === null && row.robot_id === null,
  }))
}

/** Of a project, by name. */
export function accessRulesOf(db: Executor, projectId: number): Promise<AccessRuleRecord[]> {
  return records(db, projectId)
}

export async function findAccessRule(
  db: Executor,
  projectId: number,
  name: string,
): Promise<AccessRuleRecord | undefined> {
  return (await records(db, projectId, name))[0]
}

async function records(db: Executor, projectId: number, name?: string): Promise<AccessRuleRecord[]> {
  const rows = await db.kysely
    .selectFrom('access_rules as a')
    .leftJoin('users as u', 'u.id', 'a.user_id')
    .leftJoin('groups as g', 'g.id', 'a.group_id')
    .leftJoin('robots as r', 'r.id', 'a.robot_id')
    .select([
      'a.name',
      'a.effect',
      'a.repository',
      'a.rights',
      'a.created_at as createdAt',
      'a.updated_at as updatedAt',
      'a.version',
      'u.name as user',
      'g.name as group',
      'r.name as robot',
    ])
    .where('a.project_id', '=', projectId)
    .$if(name !== undefined, (query) => query.where('a.name', '=', name ?? ''))
    .orderBy('a.name')
    .execute()
  return rows.map(({ user, group, robot, rights, ...rule }) => {
    const named = [
      { kind: 'user', name: user },
      { kind: 'group', name: group },
      { kind: 'robot', name: robot },
    ] as const
    const found = named.find((one) => one.name !== null)
    return {
      ...rule,
      rights: JSON.parse(rights) as Right[],
      subject: found && { kind: found.kind, name: found.name ?? '' },
    }
  })
}

export interface NewAccessRule extends AccessRule {
  readonly name: string
  readonly subject: Subject
}

/** False when the project has a rule of that name. */
export async function insertAccessRule(
  tx: Transaction,
  projectId: number,
  rule: NewAccessRule,
  now: number,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('access_rules')
    .values({ project_id: projectId, name: rule.name, ...columnsOf(rule), created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.columns(['project_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when the rule is gone, or has another version than the one that is expected. */
export async function updateAccessRule(
  tx: Transaction,
  projectId: number,
  rule: NewAccessRule,
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('access_rules')
    .set((set) => ({ ...columnsOf(rule), updated_at: now, version: set('version', '+', 1) }))
    .where('project_id', '=', projectId)
    .where('name', '=', rule.name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function deleteAccessRule(tx: Transaction, projectId: number, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('access_rules')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnsOf({ effect, repository, rights, subject }: NewAccessRule) {
  const idOf = (kind: SubjectKind) => (subject?.kind === kind ? subject.id : null)
  return {
    effect,
    repository,
    rights: JSON.stringify(rights),
    user_id: idOf('user'),
    group_id: idOf('group'),
    robot_id: idOf('robot'),
  }
}
