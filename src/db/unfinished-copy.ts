// The mark of a database that a copy has not filled to the end: a table that is there until then. No server starts on it.

export const UNFINISHED_COPY = 'unfinished_copy'

/** @throws Error with a sentence for the operator */
export function refuseUnfinishedCopy(found: unknown): void {
  if (!found) return
  throw new Error(
    'the database is half of a copy: run the same "stowage db copy" again, which goes on where it stopped, or name another database',
  )
}
