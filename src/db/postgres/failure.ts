// What an error of PostgreSQL, or of the way to it, means: try the transaction again, come back later, no space, or a fault
// of ours.
import { OciError } from '#oci/errors.ts'

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const DISK_FULL = '53100'
/** Another transaction came in the way. */
const CONTENDED: ReadonlySet<string> = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
])
/**
 * Keys are never violated on purpose: a row that another transaction made or took away meanwhile shows itself so, and is
 * seen by the next run. Where it is not, the fault is ours.
 */
const VIOLATED: ReadonlySet<string> = new Set([
  '23505', // unique_violation
  '23503', // foreign_key_violation
])
const NOT_NOW: ReadonlySet<string> = new Set([
  '25006', // read_only_sql_transaction: a standby
  '0A000', // feature_not_supported: SERIALIZABLE on a standby
  '25P03', // idle_in_transaction_session_timeout
  '28000', // invalid_authorization_specification
  '28P01', // invalid_password
  '3D000', // invalid_catalog_name: the database is not there
  '53000', // insufficient_resources
  '53200', // out_of_memory: also of the table of locks
  '53300', // too_many_connections
  '53400', // configuration_limit_exceeded
  '55P03', // lock_not_available: lock_timeout
  '57014', // query_canceled: statement_timeout
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '58030', // io_error
])
/** Class 08: connection exceptions. */
const CONNECTION_CLASS = '08'
/** After these the session is over, or never began. */
const ENDS_SESSION: ReadonlySet<string> = new Set([
  ...['25P03', '28000', '28P01', '3D000', '53300', '57P01', '57P02', '57P03', '57P05'],
])
/** Of sockets and names. */
const SYSTEM_CODE = /^E[A-Z_]+$|^ERR_(SSL|TLS|SOCKET|STREAM)/
/** What `pg` says without a code. */
const CONNECTION_WORDS =
  /^Connection terminated|^Client (has encountered a connection error|was closed)|timeout expired|timeout exceeded when trying to connect|Query read timeout|^The server does not support SSL/

/** Thrown inside `db/postgres` where there is no connection to ask with. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection'
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Whether nobody can say what became of the last statement: the session was cut. */
export function meansLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = codeOf(error)
  if (error instanceof NoConnection || ENDS_SESSION.has(code) || code.startsWith(CONNECTION_CLASS))
    return true
  return SYSTEM_CODE.test(code) || CONNECTION_WORDS.test(error.message)
}

/** Whether another transaction kept this one from being what it is when it runs alone. */
export function meansContended(error: unknown): boolean {
  return CONTENDED.has(codeOf(error))
}

/** Whether a key was violated, perhaps by what another transaction did meanwhile. */
export function meansViolated(error: unknown): boolean {
  return VIOLATED.has(codeOf(error))
}

/** An OciError STORAGE_FULL or UNAVAILABLE, or the error itself. */
export function postgresFailure(error: unknown): unknown {
  if (error instanceof OciError) return error
  const code = codeOf(error)
  if (code === DISK_FULL) return new OciError('STORAGE_FULL', { cause: error })
  if (meansContended(error) || NOT_NOW.has(code) || meansLost(error))
    return new OciError('UNAVAILABLE', { cause: error })
  return error
}
