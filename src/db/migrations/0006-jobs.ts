// Jobs with their schedules, and the times of the last pulls.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('pulls')
    .addColumn('repository_id', 'integer', (column) => column.notNull().references('repositories.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('pulled_at', 'bigint', (column) => column.notNull())
    .addColumn('pulls', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('pulls_key', ['repository_id', 'name'])
    .modifyEnd(sql`without rowid`)
    .execute()

  await db.schema
    .createTable('jobs')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('unique_key', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('priority', 'integer', (column) => column.notNull())
    .addColumn('run_at', 'bigint', (column) => column.notNull())
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('cursor', 'text')
    .addColumn('progress', 'text')
    .addColumn('result', 'text')
    .addColumn('error', 'text')
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('attempts_max', 'integer', (column) => column.notNull())
    .addColumn('lease', 'text')
    .addColumn('lease_owner', 'text')
    .addColumn('lease_until', 'bigint')
    .addColumn('cancel_requested', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('actor', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('started_at', 'bigint')
    .addColumn('finished_at', 'bigint')
    .execute()
  await sql`create unique index jobs_unique on jobs (unique_key) where state in ('waiting', 'running')`.execute(
    db,
  )
  await sql`create index jobs_open on jobs (run_at) where state in ('waiting', 'running')`.execute(db)
  await sql`create index jobs_finished on jobs (finished_at) where finished_at is not null`.execute(db)

  await db.schema
    .createTable('job_schedules')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('timing', 'text', (column) => column.notNull())
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('next_at', 'bigint', (column) => column.notNull())
    .addColumn('last_at', 'bigint')
    .execute()
}
