// Who comes in otherwise than by a password of ours: accounts of providers, sessions of browsers, rules for the jobs of others.
import type { Kysely } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('users').addColumn('external_role', 'text').execute()

  await db.schema
    .createTable('external_identities')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('user_id', 'integer', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('sealed_grant', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('confirmed_at', 'bigint', (column) => column.notNull())
    .addColumn('asked_at', 'bigint')
    .addColumn('ended_at', 'bigint')
    .addUniqueConstraint('external_identities_subject', ['issuer', 'subject'])
    .execute()
  await db.schema
    .createIndex('external_identities_user')
    .on('external_identities')
    .column('user_id')
    .execute()
  await db.schema
    .alterTable('group_members')
    .addColumn('identity_id', 'integer', (column) =>
      column.references('external_identities.id').onDelete('cascade'),
    )
    .execute()
  await db.schema.createIndex('group_members_identity').on('group_members').column('identity_id').execute()

  await db.schema
    .createTable('sessions')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('user_id', 'integer', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('method', 'text', (column) => column.notNull())
    .addColumn('remote', 'text')
    .addColumn('user_agent', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_user').on('sessions').column('user_id').execute()
  await db.schema.createIndex('sessions_expires').on('sessions').column('expires_at').execute()

  await db.schema
    .createTable('federation_rules')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('robot_id', 'integer', (column) =>
      column.notNull().references('robots.id').onDelete('cascade'),
    )
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('claims', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('federation_rules_name', ['robot_id', 'name'])
    .execute()
  await db.schema.createIndex('federation_rules_issuer').on('federation_rules').column('issuer').execute()
}
