// How this program connects to PostgreSQL: what the URL says, as libpq understands it, and limits of our own.
import pg from 'pg'
import { parse, toClientConfig } from 'pg-connection-string'

export const CONNECT_MS_MAX = 5_000
/** Longer than any statement of ours should take; a migration has its own connection, without this limit. */
export const STATEMENT_MS_MAX = 60_000
/** A server that does not answer at all is given up a little later than one that says that it took too long. */
export const ANSWER_MS_MAX = STATEMENT_MS_MAX + 5_000
export const LOCK_MS_MAX = 20_000
/** What keeps a transaction open without a word is gone, or stopped: it holds locks, and the order of the events. */
export const IDLE_IN_TRANSACTION_MS_MAX = 30_000
const KEEP_ALIVE_AFTER_MS = 30_000

const INT8 = 20
const NUMERIC = 1700

/** Sizes, times and ids are far below 2^53; sums of them come as numeric. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === INT8 || oid === NUMERIC
      ? Number
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

/**
 * For `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path`, and a folder with a socket in
 * `?host=`. What the URL leaves out is taken from libpq's variables (PGHOST, PGPASSWORD, ~/.pgpass).
 * @throws Error when the URL, or a file that it names, cannot be read
 */
export function clientOptions(url: string): pg.ClientConfig {
  const parsed = toClientConfig(parse(url, { useLibpqCompat: true }))
  return {
    fallback_application_name: 'stowage',
    ...parsed,
    types,
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    statement_timeout: STATEMENT_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
    lock_timeout: LOCK_MS_MAX,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX,
  }
}
