// Counts what is used from the facts themselves: to prove the counters, and to put them right.
import { sql } from 'kysely'
import type { Executor, Transaction } from '#db/db.ts'
import { MEASURES, type Measure } from '#db/usage.ts'

/** A counter, or a blob that a project holds, that is not what the facts say. */
export interface UsageDifference {
  readonly scope: string
  readonly measure: Measure | 'held'
  readonly counted: number
  readonly actual: number
}

/** Who holds what, out of links and manifests; of several users who brought a blob into a project it counts for one. */
const HELD = sql`
  select f.blob_id, f.project, b.size, f.user_id from (
    select blob_id, project, min(user_id) as user_id from (
      select x.blob_id, r.project, u.id as user_id from repository_blobs x
        join repositories r on r.id = x.repository_id left join users u on u.id = x.pushed_by
      union all
      select x.blob_id, r.project, u.id from manifests x
        join repositories r on r.id = x.repository_id left join users u on u.id = x.pushed_by
      union all
      select x.blob_id, '', null from repository_blobs x
      union all
      select x.blob_id, '', null from manifests x) as links
    group by blob_id, project) as f
  join blobs b on b.id = f.blob_id`

const SCOPE = sql`case project when '' then 'registry' else 'project:' || project end`

/** One row a scope and measure, of what the facts say. */
const ACTUAL = sql`
  select ${SCOPE} as scope, sum(size) as bytes, 0 as repositories, 0 as tags from blob_holds group by project
  union all
  select 'user:' || user_id, sum(size), 0, 0 from blob_holds where user_id is not null group by user_id
  union all
  select 'project:' || project, 0, sum(listed), 0 from repositories group by project
  union all
  select 'registry', 0, sum(listed), 0 from repositories
  union all
  select 'project:' || r.project, 0, 0, count(*) from tags t join repositories r on r.id = t.repository_id group by r.project
  union all
  select 'registry', 0, 0, count(*) from tags`

const COUNTED = sql`
  select scope, bytes, repositories, tags from usage_totals
  union all
  select scope, bytes, repositories, tags from usage_deltas`

/** One row a scope that is counted wrong: what is missing of each measure, and what is counted. */
const OFF = sql`
  select scope, sum(side * bytes) as bytes, sum(side * repositories) as repositories, sum(side * tags) as tags,
    sum(case when side < 0 then bytes else 0 end) as counted_bytes,
    sum(case when side < 0 then repositories else 0 end) as counted_repositories,
    sum(case when side < 0 then tags else 0 end) as counted_tags
  from (
    select 1 as side, scope, coalesce(bytes, 0) as bytes, coalesce(repositories, 0) as repositories, tags
      from (${ACTUAL}) as actual
    union all
    select -1, scope, bytes, repositories, tags from (${COUNTED}) as counted) as both_sides
  group by scope
  having sum(side * bytes) <> 0 or sum(side * repositories) <> 0 or sum(side * tags) <> 0`

/** What is counted wrong; empty when all is right. Each query sees one state of the store, whoever writes meanwhile. */
export async function usageDifferences(db: Executor): Promise<UsageDifference[]> {
  const found: UsageDifference[] = []
  const { rows: holds } = await sql<{ scope: string; blob: number; held: number; needed: number }>`
    select ${SCOPE} as scope, blob_id as blob, sum(held) as held, sum(needed) as needed from (
      select project, blob_id, 1 as held, 0 as needed from blob_holds
      union all
      select project, blob_id, 0, 1 from (${HELD}) as facts) as both_sides
    group by project, blob_id having sum(held) <> sum(needed)`.execute(db.kysely)
  for (const { scope, held, needed } of holds)
    found.push({ scope, measure: 'held', counted: Number(held), actual: Number(needed) })
  const { rows: off } = await sql<Record<string, string | number>>`${OFF}`.execute(db.kysely)
  for (const row of off) {
    for (const measure of MEASURES) {
      const [missing, counted] = [Number(row[measure]), Number(row[`counted_${measure}`])]
      if (missing !== 0)
        found.push({ scope: String(row['scope']), measure, counted, actual: counted + missing })
    }
  }
  return found
}

/** Puts right what is counted wrong. Others may write meanwhile. */
export async function repairUsage(tx: Transaction): Promise<void> {
  await sql`delete from blob_holds where not exists (select 1 from (${HELD}) as facts
    where facts.blob_id = blob_holds.blob_id and facts.project = blob_holds.project)`.execute(tx.kysely)
  await addMissingHolds(tx)
  await addMissingCounts(tx)
}

/** Forgets all that is counted and counts it anew: after repositories came to other projects. */
export async function rebuildUsage(tx: Transaction): Promise<void> {
  for (const table of ['blob_holds', 'usage_deltas'] as const) await tx.kysely.deleteFrom(table).execute()
  await tx.kysely.updateTable('usage_totals').set({ bytes: 0, repositories: 0, tags: 0 }).execute()
  await tx.kysely.deleteFrom('usage_deltas').execute()
  await addMissingHolds(tx)
  await addMissingCounts(tx)
}

async function addMissingHolds(tx: Transaction): Promise<void> {
  await sql`insert into blob_holds (blob_id, project, size, user_id)
    select blob_id, project, size, user_id from (${HELD}) as facts where true on conflict do nothing`.execute(
    tx.kysely,
  )
}

async function addMissingCounts(tx: Transaction): Promise<void> {
  await sql`insert into usage_deltas (scope, bytes, repositories, tags)
    select scope, bytes, repositories, tags from (${OFF}) as missing`.execute(tx.kysely)
}
