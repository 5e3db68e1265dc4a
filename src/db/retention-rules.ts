// Rules that say which tags of a project stay.
import type { Executor, Transaction } from '#db/db.ts'

export interface RetentionRule {
  /** Unique within its project. */
  readonly name: string
  /** Patterns of whole names of repositories, and of tags. */
  readonly repository: string
  readonly tag: string
  readonly exceptRepositories: readonly string[]
  readonly exceptTags: readonly string[]
  /** So many that were pushed last stay. Null for what does not count, here and below. */
  readonly newest: number | null
  /** Who was pushed or pulled within so many days stays. */
  readonly pushedDays: number | null
  readonly pulledDays: number | null
  /** Whether images with a signature stay. */
  readonly signed: boolean
  /** After so many days manifests without a tag go. */
  readonly untaggedDays: number | null
  readonly disabled: boolean
}

export interface RetentionRuleRecord extends RetentionRule {
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

const COLUMNS = [
  'name',
  'repository',
  'tag',
  'except_repositories as exceptRepositories',
  'except_tags as exceptTags',
  'newest',
  'pushed_days as pushedDays',
  'pulled_days as pulledDays',
  'signed',
  'untagged_days as untaggedDays',
  'disabled',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'version',
] as const

interface Row extends Omit<RetentionRuleRecord, 'exceptRepositories' | 'exceptTags' | 'signed' | 'disabled'> {
  readonly exceptRepositories: string
  readonly exceptTags: string
  readonly signed: number
  readonly disabled: number
}

function recordOf(row: Row): RetentionRuleRecord {
  return {
    ...row,
    exceptRepositories: JSON.parse(row.exceptRepositories) as string[],
    exceptTags: JSON.parse(row.exceptTags) as string[],
    signed: row.signed === 1,
    disabled: row.disabled === 1,
  }
}

/** All rules of a project, by name. */
export async function retentionRulesOf(db: Executor, projectId: number): Promise<RetentionRuleRecord[]> {
  const rows = await db.kysely
    .selectFrom('retention_rules')
    .select(COLUMNS)
    .where('project_id', '=', projectId)
    .orderBy('name')
    .execute()
  return rows.map(recordOf)
}

/** The rules in force of all projects that have any, by the name of the project. */
export async function retentionRulesInForce(db: Executor): Promise<Map<string, RetentionRuleRecord[]>> {
  const rows = await db.kysely
    .selectFrom('retention_rules as r')
    .innerJoin('projects as p', 'p.id', 'r.project_id')
    .select(COLUMNS.map((column) => `r.${column}` as const))
    .select('p.name as project')
    .where('r.disabled', '=', 0)
    .orderBy('r.name')
    .execute()
  const rules = new Map<string, RetentionRuleRecord[]>()
  for (const { project, ...row } of rows) {
    const list = rules.get(project) ?? []
    list.push(recordOf(row))
    rules.set(project, list)
  }
  return rules
}

export async function findRetentionRule(
  db: Executor,
  projectId: number,
  name: string,
): Promise<RetentionRuleRecord | undefined> {
  const row = await db.kysely
    .selectFrom('retention_rules')
    .select(COLUMNS)
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row && recordOf(row)
}

/** False when the project has a rule of that name. */
export async function insertRetentionRule(
  tx: Transaction,
  projectId: number,
  rule: RetentionRule,
  now: number,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('retention_rules')
    .values({ project_id: projectId, name: rule.name, ...columnsOf(rule), created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.columns(['project_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when the rule is gone, or has another version than the one that is expected. */
export async function updateRetentionRule(
  tx: Transaction,
  projectId: number,
  rule: RetentionRule,
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('retention_rules')
    .set((set) => ({ ...columnsOf(rule), updated_at: now, version: set('version', '+', 1) }))
    .where('project_id', '=', projectId)
    .where('name', '=', rule.name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function deleteRetentionRule(
  tx: Transaction,
  projectId: number,
  name: string,
): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('retention_rules')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnsOf(rule: RetentionRule) {
  return {
    repository: rule.repository,
    tag: rule.tag,
    except_repositories: JSON.stringify(rule.exceptRepositories),
    except_tags: JSON.stringify(rule.exceptTags),
    newest: rule.newest,
    pushed_days: rule.pushedDays,
    pulled_days: rule.pulledDays,
    signed: rule.signed ? 1 : 0,
    untagged_days: rule.untaggedDays,
    disabled: rule.disabled ? 1 : 0,
  }
}

/** When tags and manifests of a repository were pulled last, by name or digest, milliseconds since 1970. */
export async function pullsIn(db: Executor, repositoryId: number): Promise<Map<string, number>> {
  const rows = await db.kysely
    .selectFrom('pulls')
    .select(['name', 'pulled_at as at'])
    .where('repository_id', '=', repositoryId)
    .execute()
  return new Map(rows.map(({ name, at }) => [name, Number(at)]))
}
