// The audit log with its chain, and figures of repositories that lists can be sorted by.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('audit_entries')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('position', 'bigint', (column) => column.unique())
    .addColumn('hash', 'text')
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('until', 'bigint')
    .addColumn('count', 'integer', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('result', 'text', (column) => column.notNull())
    .addColumn('actor', 'text')
    .addColumn('target', 'text')
    .addColumn('project', 'text')
    .addColumn('detail', 'text')
    .addColumn('remote', 'text')
    .addColumn('user_agent', 'text')
    .addColumn('request_id', 'text')
    .execute()
  await db.schema.createIndex('audit_entries_at').on('audit_entries').column('at').execute()
  await sql`create index audit_entries_unsealed on audit_entries (id) where position is null`.execute(db)
  await db.schema
    .createTable('audit_checkpoints')
    .addColumn('position', 'bigint', (column) => column.primaryKey())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('kid', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('audit_keys')
    .addColumn('kid', 'text', (column) => column.primaryKey())
    .addColumn('private_jwk', 'text', (column) => column.notNull())
    .addColumn('public_jwk', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()

  await db.schema
    .createTable('repository_figures')
    .addColumn('repository_id', 'integer', (column) =>
      column.primaryKey().references('repositories.id').onDelete('cascade'),
    )
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('tags', 'integer', (column) => column.notNull())
    .addColumn('manifests', 'integer', (column) => column.notNull())
    .addColumn('pushed_at', 'bigint', (column) => column.notNull())
    .execute()
  for (const column of ['size', 'tags', 'pushed_at'] as const) {
    await db.schema
      .createIndex(`repository_figures_${column}`)
      .on('repository_figures')
      .columns([column, 'repository_id'])
      .execute()
  }
}
