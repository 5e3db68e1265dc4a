// Which process delivers to a subscriber of the events: one at a time.
import type { Kysely } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('cursors').addColumn('holder', 'text').execute()
  await db.schema.alterTable('cursors').addColumn('held_until', 'bigint').execute()
}
