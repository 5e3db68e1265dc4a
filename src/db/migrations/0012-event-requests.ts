// By which request something happened, as notifications tell it.
import type { Kysely } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('events').addColumn('method', 'text').execute()
  await db.schema.alterTable('events').addColumn('origin', 'text').execute()
}
