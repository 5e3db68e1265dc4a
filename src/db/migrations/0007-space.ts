// What may be deleted and what may come back: condemned blobs, missing references, deleted manifests.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('blobs').addColumn('condemned_at', 'bigint').execute()
  await db.schema
    .alterTable('blobs')
    .addColumn('deleting', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  await db.schema.alterTable('repository_blobs').addColumn('condemned_at', 'bigint').execute()
  await sql`create index blobs_condemned on blobs (condemned_at) where condemned_at is not null`.execute(db)
  await sql`create index repository_blobs_condemned on repository_blobs (condemned_at) where condemned_at is not null`.execute(
    db,
  )

  await db.schema
    .createTable('manifest_missing')
    .addColumn('manifest_id', 'integer', (column) =>
      column.notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('digest', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('manifest_missing_key', ['manifest_id', 'digest'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('manifest_missing_digest').on('manifest_missing').column('digest').execute()

  await db.schema
    .createTable('deleted_manifests')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('repository_id', 'integer', (column) => column.notNull().references('repositories.id'))
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id'))
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('deleted_at', 'bigint', (column) => column.notNull())
    .addColumn('deleted_by', 'text')
    .addUniqueConstraint('deleted_manifests_digest', ['repository_id', 'digest'])
    .execute()
  await db.schema.createIndex('deleted_manifests_at').on('deleted_manifests').column('deleted_at').execute()
  await db.schema.createIndex('deleted_manifests_blob').on('deleted_manifests').column('blob_id').execute()
  await db.schema
    .createTable('deleted_manifest_blobs')
    .addColumn('deleted_id', 'integer', (column) =>
      column.notNull().references('deleted_manifests.id').onDelete('cascade'),
    )
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id'))
    .addPrimaryKeyConstraint('deleted_manifest_blobs_key', ['deleted_id', 'blob_id'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema
    .createIndex('deleted_manifest_blobs_blob')
    .on('deleted_manifest_blobs')
    .column('blob_id')
    .execute()
  await sql`create index events_tags on events (repository, tag, id) where kind in ('manifest.pushed', 'tag.deleted') and tag is not null`.execute(
    db,
  )
}
