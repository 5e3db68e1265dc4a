// Brings the schema up to date, each migration in a transaction of its own; refuses a schema from the future.
import { type Kysely, Migrator } from 'kysely'
import * as initial from '#db/migrations/0001-initial.ts'
import * as access from '#db/migrations/0002-access.ts'
import * as authorization from '#db/migrations/0003-authorization.ts'
import * as identity from '#db/migrations/0004-identity.ts'
import * as audit from '#db/migrations/0005-audit.ts'
import * as jobs from '#db/migrations/0006-jobs.ts'
import * as space from '#db/migrations/0007-space.ts'
import * as sharedUploads from '#db/migrations/0008-shared-uploads.ts'
import * as cursorLeases from '#db/migrations/0011-cursor-leases.ts'
import * as eventRequests from '#db/migrations/0012-event-requests.ts'
import * as rates from '#db/migrations/0013-rates.ts'
import * as retention from '#db/migrations/0014-retention.ts'
import * as webhooks from '#db/migrations/0015-webhooks.ts'
import type { Tables } from '#db/schema.ts'

const MIGRATIONS = {
  '0001-initial': initial,
  '0002-access': access,
  '0003-authorization': authorization,
  '0004-identity': identity,
  '0005-audit': audit,
  '0006-jobs': jobs,
  '0007-space': space,
  '0008-shared-uploads': sharedUploads,
  '0011-cursor-leases': cursorLeases,
  '0012-event-requests': eventRequests,
  '0013-rates': rates,
  '0014-retention': retention,
  '0015-webhooks': webhooks,
}

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
