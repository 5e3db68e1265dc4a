// The first schema: repositories, blobs, manifests, tags, uploads, events.
import { type Kysely, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('repositories')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('listed', 'integer', (column) => column.notNull().defaultTo(0))
    .execute()
  await sql`create index repositories_listed on repositories (name) where listed = 1`.execute(db)

  await db.schema
    .createTable('blobs')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('digest', 'text', (column) => column.notNull().unique())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('verified_at', 'bigint')
    .execute()
  await db.schema
    .createTable('blob_aliases')
    .addColumn('digest', 'text', (column) => column.primaryKey())
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id').onDelete('cascade'))
    .execute()
  await db.schema.createIndex('blob_aliases_blob').on('blob_aliases').column('blob_id').execute()

  await db.schema
    .createTable('repository_blobs')
    .addColumn('repository_id', 'integer', (column) => column.notNull().references('repositories.id'))
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('repository_blobs_key', ['repository_id', 'blob_id'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('repository_blobs_blob').on('repository_blobs').column('blob_id').execute()

  await db.schema
    .createTable('manifests')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('repository_id', 'integer', (column) => column.notNull().references('repositories.id'))
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id'))
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('artifact_type', 'text')
    .addColumn('subject', 'text')
    .addColumn('annotations', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('manifests_digest', ['repository_id', 'digest'])
    .execute()
  await db.schema.createIndex('manifests_blob').on('manifests').column('blob_id').execute()
  await sql`create index manifests_subject on manifests (repository_id, subject, digest) where subject is not null`.execute(
    db,
  )

  await db.schema
    .createTable('manifest_blobs')
    .addColumn('manifest_id', 'integer', (column) =>
      column.notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id'))
    .addPrimaryKeyConstraint('manifest_blobs_key', ['manifest_id', 'blob_id'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('manifest_blobs_blob').on('manifest_blobs').column('blob_id').execute()

  await db.schema
    .createTable('manifest_children')
    .addColumn('manifest_id', 'integer', (column) =>
      column.notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('digest', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('manifest_children_key', ['manifest_id', 'digest'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('manifest_children_digest').on('manifest_children').column('digest').execute()

  await db.schema
    .createTable('tags')
    .addColumn('repository_id', 'integer', (column) => column.notNull().references('repositories.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('manifest_id', 'integer', (column) =>
      column.notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('tags_manifest').on('tags').column('manifest_id').execute()

  await db.schema
    .createTable('uploads')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('algorithm', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('digest', 'text')
    .addColumn('actor', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    // No more than may be open at once: the sweeper reads them all.
    .modifyEnd(sql`without rowid`)
    .execute()

  await db.schema
    .createTable('events')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('digest', 'text')
    .addColumn('tag', 'text')
    .addColumn('media_type', 'text')
    .addColumn('size', 'bigint')
    .addColumn('from_repository', 'text')
    .addColumn('actor', 'text')
    .addColumn('remote', 'text')
    .addColumn('user_agent', 'text')
    .addColumn('request_id', 'text')
    .addColumn('duration_ms', 'double precision')
    .execute()
  await db.schema.createIndex('events_repository').on('events').columns(['repository', 'id']).execute()
  await db.schema.createIndex('events_at').on('events').columns(['at']).execute()
  await sql`create index events_writes on events (id) where kind not in ('blob.pulled', 'manifest.pulled')`.execute(
    db,
  )

  await db.schema
    .createTable('cursors')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('position', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('settings')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute()
}
