// How much of a rate is used up, by whom: one row a rate and a client, as long as anything is. It takes the place of counts by
// windows, which nothing ever used.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.dropTable('rate_counts').execute()
  await db.schema
    .createTable('rate_uses')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('free_at', 'double precision', (column) => column.notNull())
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('rate_uses_free_at').on('rate_uses').column('free_at').execute()
}
