// Brings the schema of a PostgreSQL up to date: one process at a time, while others may be serving.
import pg from 'pg'
import { migrate } from '#db/migrate.ts'
import { MIGRATION_LOCK, TRY_MIGRATION_LOCK } from '#db/postgres/advisory-locks.ts'
import { kyselyOver } from '#db/postgres/kysely-postgres.ts'
import { refuseUnfinishedCopy, UNFINISHED_COPY } from '#db/unfinished-copy.ts'

/** What `settings` of the server must not be where acknowledged pushes are to survive a loss of power. */
const UNSAFE = [
  { setting: 'fsync', value: 'off' },
  { setting: 'full_page_writes', value: 'off' },
  { setting: 'synchronous_commit', value: 'off' },
] as const
const VERSION_MIN = 14

/**
 * @throws Error with a sentence for the operator when the server cannot be reached, is too old, or has a newer schema than
 *   this program
 */
export async function migratePostgres(
  options: pg.ClientConfig,
  onWarning: (message: string, fields: Readonly<Record<string, unknown>>) => void,
): Promise<void> {
  // A migration of a large table may take long, and waits for the process that is at it already.
  const client = new pg.Client({
    ...options,
    pipeline: false,
    statement_timeout: 0,
    query_timeout: 0,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await refuseOldServer(client)
    const { rows } = await client.query(`${TRY_MIGRATION_LOCK} as taken`)
    if (!rows[0]?.taken) {
      onWarning('the database is being brought up to date, or copied, by another process: waiting for it', {})
      await client.query(MIGRATION_LOCK)
    }
    const marks = await client.query('select to_regclass($1) is not null as found', [UNFINISHED_COPY])
    refuseUnfinishedCopy(marks.rows[0]?.found)
    await migrate(kyselyOver((query) => client.query(query)))
    for (const { setting, value } of UNSAFE) {
      const { rows: found } = await client.query('select current_setting($1) as value', [setting])
      if (found[0]?.value === value)
        onWarning('the database may lose what was acknowledged', { setting, value })
    }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`the PostgreSQL of database.url cannot be used: ${message}`, { cause })
  } finally {
    // The lock goes with the session.
    await client.end().catch(() => {})
  }
}

/** @throws Error */
export async function refuseOldServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    "select cast(current_setting('server_version_num')::int / 10000 as text) as version",
  )
  const version = Number(rows[0]?.version)
  if (version >= VERSION_MIN) return
  throw new Error(`it is PostgreSQL ${version}, and ${VERSION_MIN} or newer is needed`)
}
