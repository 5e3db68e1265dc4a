// Named locks as advisory locks of PostgreSQL, held until the transaction ends. They are told apart from those of other
// programs in the same database by their first number.
import type { LockName } from '#db/locks.ts'

/** "Stow": the first number of each two. */
const OURS = 0x53746f77
/**
 * Blobs share this many locks: a manifest may name tens of thousands, and the server has room for some thousands of locks
 * (max_locks_per_transaction times max_connections). Two blobs that share one wait for each other for a moment.
 */
const BLOB_LOCKS = 4_096
const BLOB_PREFIX = 'blob:'
/** A target list of PostgreSQL holds 1,664 entries. */
const LOCKS_PER_STATEMENT = 1_000

/** In one order for everybody, so that no two wait for each other; empty for no locks. */
export function lockStatements(locks: readonly LockName[]): string {
  if (locks.length === 0) return ''
  const keys = [...new Set(locks.map(keyOf))].sort((one, other) => one - other)
  let statements = ''
  for (let start = 0; start < keys.length; start += LOCKS_PER_STATEMENT) {
    const calls = keys
      .slice(start, start + LOCKS_PER_STATEMENT)
      .map((key) => `pg_advisory_xact_lock(${OURS},${key})`)
    statements += `;select ${calls.join()}`
  }
  return statements
}

function keyOf(name: LockName): number {
  const hash = fnv1a(name)
  return name.startsWith(BLOB_PREFIX) ? hash & (BLOB_LOCKS - 1) : hash | BLOB_LOCKS
}

/** http://www.isthe.com/chongo/tech/comp/fnv/, 32 bits with a sign. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash
}

/** Taken by one process at a time, for as long as its session lasts. */
export const MIGRATION_LOCK = `select pg_advisory_lock(${OURS}, 0)`
export const TRY_MIGRATION_LOCK = `select pg_try_advisory_lock(${OURS}, 0)`

/** "Stop": shared by all that have the database open; whoever needs it alone takes it alone. */
const PRESENCE = 0x53746f70
export const SHARE_PRESENCE = `select pg_advisory_lock_shared(${PRESENCE}, 0)`
export const TRY_PRESENCE_ALONE = `select pg_try_advisory_lock(${PRESENCE}, 0)`
