// `stowage db snapshot`.
import { resolve } from 'node:path'
import { databaseNamed } from '#app/database-place.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Snapshot, snapshotSqlite } from '#db/snapshot.ts'

/** @throws CommandFailure */
export async function snapshotDatabaseOf(from: string, file: string, cwd: string): Promise<Snapshot> {
  const { place } = await databaseNamed(from, cwd)
  if (place.kind === 'postgres')
    throw new CommandFailure(EXIT.failed, 'PostgreSQL has a program of its own for this', {
      hint: 'pg_dump --format=custom --file FILE URL, then take the blobs: docs/operate/backup.md',
    })
  try {
    return await snapshotSqlite(place.path, resolve(cwd, file))
  } catch (error) {
    throw new CommandFailure(EXIT.failed, error instanceof Error ? error.message : String(error), {
      cause: error,
    })
  }
}
