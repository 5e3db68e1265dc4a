// Rules that keep tags where they are, and which tags need a given manifest or blob.
import { sql } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface ImmutabilityRule {
  /** Unique within its project. */
  readonly name: string
  /** Patterns of whole names of repositories, and of tags. */
  readonly repository: string
  readonly tag: string
  readonly exceptRepositories: readonly string[]
  readonly exceptTags: readonly string[]
  readonly disabled: boolean
}

export interface ImmutabilityRuleRecord extends ImmutabilityRule {
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

interface Row {
  readonly name: string
  readonly repository: string
  readonly tag: string
  readonly exceptRepositories: string
  readonly exceptTags: string
  readonly disabled: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly version: number
}

const COLUMNS = [
  'i.name',
  'i.repository',
  'i.tag',
  'i.except_repositories as exceptRepositories',
  'i.except_tags as exceptTags',
  'i.disabled',
  'i.created_at as createdAt',
  'i.updated_at as updatedAt',
  'i.version',
] as const

const ofRepository = hot<{ repository: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('projects as p', 'p.name', 'r.project')
    .innerJoin('immutability_rules as i', 'i.project_id', 'p.id')
    .select(COLUMNS)
    .where('r.name', '=', p.repository)
    .where('i.disabled', '=', 0)
    .orderBy('i.name'),
)

function recordOf(row: Row): ImmutabilityRuleRecord {
  return {
    ...row,
    exceptRepositories: JSON.parse(row.exceptRepositories) as string[],
    exceptTags: JSON.parse(row.exceptTags) as string[],
    disabled: row.disabled === 1,
  }
}

/** The rules in force for a repository, by name; none for one that does not exist. */
export async function immutabilityRulesFor(
  db: Executor,
  repository: string,
): Promise<ImmutabilityRuleRecord[]> {
  return (await db.all(ofRepository, { repository })).map(recordOf)
}

/** All rules of a project, by name. */
export async function immutabilityRulesOf(
  db: Executor,
  projectId: number,
): Promise<ImmutabilityRuleRecord[]> {
  const rows = await db.kysely
    .selectFrom('immutability_rules as i')
    .select(COLUMNS)
    .where('i.project_id', '=', projectId)
    .orderBy('i.name')
    .execute()
  return rows.map(recordOf)
}

export async function findImmutabilityRule(
  db: Executor,
  projectId: number,
  name: string,
): Promise<ImmutabilityRuleRecord | undefined> {
  const row = await db.kysely
    .selectFrom('immutability_rules as i')
    .select(COLUMNS)
    .where('i.project_id', '=', projectId)
    .where('i.name', '=', name)
    .executeTakeFirst()
  return row && recordOf(row)
}

/** False when the project has a rule of that name. */
export async function insertImmutabilityRule(
  tx: Transaction,
  projectId: number,
  rule: ImmutabilityRule,
  now: number,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('immutability_rules')
    .values({ project_id: projectId, name: rule.name, ...columnsOf(rule), created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.columns(['project_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** False when the rule is gone, or has another version than the one that is expected. */
export async function updateImmutabilityRule(
  tx: Transaction,
  projectId: number,
  rule: ImmutabilityRule,
  { now, version }: { now: number; version?: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('immutability_rules')
    .set((set) => ({ ...columnsOf(rule), updated_at: now, version: set('version', '+', 1) }))
    .where('project_id', '=', projectId)
    .where('name', '=', rule.name)
    .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

export async function deleteImmutabilityRule(
  tx: Transaction,
  projectId: number,
  name: string,
): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('immutability_rules')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnsOf(rule: ImmutabilityRule) {
  return {
    repository: rule.repository,
    tag: rule.tag,
    except_repositories: JSON.stringify(rule.exceptRepositories),
    except_tags: JSON.stringify(rule.exceptTags),
    disabled: rule.disabled ? 1 : 0,
  }
}

/** Tags whose manifest is that one, or an index that names it, itself or by way of other indexes. */
export function tagsNeedingManifest(db: Executor, manifestId: number): Promise<string[]> {
  return tagsAbove(db, sql`select id, repository_id, digest from manifests where id = ${manifestId}`)
}

/** Tags of a repository whose manifests need that blob, as their own bytes or as config or layer. */
export function tagsNeedingBlob(db: Executor, repository: string, blobId: number): Promise<string[]> {
  return tagsAbove(
    db,
    sql`select m.id, m.repository_id, m.digest from manifests m join repositories r on r.id = m.repository_id
      where r.name = ${repository}
      and (m.blob_id = ${blobId} or m.id in (select manifest_id from manifest_blobs where blob_id = ${blobId}))`,
  )
}

async function tagsAbove(db: Executor, first: ReturnType<typeof sql>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    with recursive above (id, repository_id, digest) as (
      ${first}
      union
      select m.id, m.repository_id, m.digest from above
      join manifest_children c on c.digest = above.digest
      join manifests m on m.id = c.manifest_id and m.repository_id = above.repository_id)
    select distinct t.name from above join tags t on t.manifest_id = above.id order by t.name`.execute(
    db.kysely,
  )
  return rows.map(({ name }) => name)
}
