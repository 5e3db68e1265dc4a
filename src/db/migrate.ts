// Brings the schema up to date, each migration in a transaction of its own; refuses a schema from the future.
import { type Kysely, Migrator } from 'kysely'
import * as initial from '#db/migrations/0001-initial.ts'
import type { Tables } from '#db/schema.ts'

const MIGRATIONS = { '0001-initial': initial }

/** @throws Error with a sentence for the operator when the schema is newer than this program or a migration fails */
export async function migrate(kysely: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({
    db: kysely,
    provider: { getMigrations: async () => MIGRATIONS },
    migrationTableName: 'migrations',
    migrationLockTableName: 'migration_lock',
  })
  const { error, results } = await migrator.migrateToLatest()
  if (error === undefined) return
  const message = error instanceof Error ? error.message : String(error)
  if (message.includes('corrupted migrations')) {
    throw new Error(
      'the database was written by a newer version of Stowage: start that version, or restore a backup made before it',
      { cause: error },
    )
  }
  const failed = results?.find((result) => result.status === 'Error')?.migrationName
  throw new Error(`the migration ${failed ?? ''} of the database failed: ${message}`, { cause: error })
}
