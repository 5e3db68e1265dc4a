// Rules that say which tags of a project stay.
import type { Kysely } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('retention_rules')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('project_id', 'integer', (column) =>
      column.notNull().references('projects.id').onDelete('cascade'),
    )
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('tag', 'text', (column) => column.notNull())
    .addColumn('except_repositories', 'text', (column) => column.notNull())
    .addColumn('except_tags', 'text', (column) => column.notNull())
    .addColumn('newest', 'integer')
    .addColumn('pushed_days', 'integer')
    .addColumn('pulled_days', 'integer')
    .addColumn('signed', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('untagged_days', 'integer')
    .addColumn('disabled', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .addUniqueConstraint('retention_rules_name', ['project_id', 'name'])
    .execute()
}
