// Upload sessions that several processes write to, one at a time; and leases, for work that one process does for all.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .alterTable('uploads')
    .addColumn('claims', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  await db.schema
    .alterTable('uploads')
    .addColumn('begun', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  await db.schema.alterTable('uploads').addColumn('writer', 'text').execute()
  await db.schema.alterTable('uploads').addColumn('boot', 'text').execute()
  await db.schema
    .createTable('leases')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('holder', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .modifyEnd(sql`without rowid`)
    .execute()
}
