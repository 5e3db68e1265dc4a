// `stowage db copy`: opens what is named at both ends, each held alone, and copies.
import { existsSync } from 'node:fs'
import { type DatabasePlace, databaseNamed, lockRegistry } from '#app/database-place.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type CopyStep, copyDatabase, type DatabaseCopy } from '#db/copy/copy-database.ts'
import { type CopyDestination, type CopyEnd, CopyRefused } from '#db/copy/end.ts'
import { type SchemaOutline, schemaOutline } from '#db/copy/outline.ts'
import { openSqliteDestination, openSqliteSource } from '#db/copy/sqlite-end.ts'

export interface CopyRequest {
  /** Each a URL of PostgreSQL, a folder of data, a file, or a configuration. */
  readonly from: string
  readonly to: string
  readonly cwd: string
  readonly signal: AbortSignal
  readonly onStep: (step: CopyStep) => void
}

/** @throws CommandFailure when it is refused, and nothing was changed */
export async function copyDatabaseOf({ from, to, cwd, signal, onStep }: CopyRequest): Promise<DatabaseCopy> {
  const source = (await databaseNamed(from, cwd)).place
  const destination = (await databaseNamed(to, cwd)).place
  if (isSame(source, destination))
    throw new CommandFailure(EXIT.failed, `${from} and ${to} are the same database`)
  const outline = await schemaOutline()
  await using closing = new AsyncDisposableStack()
  try {
    if (source.kind === 'sqlite' && !existsSync(source.path))
      throw new CopyRefused(`${source.path} does not exist: there is nothing to copy`)
    for (const folder of new Set([lockOf(source), lockOf(destination)])) {
      if (folder === undefined) continue
      const lock = await lockRegistry(folder)
      closing.defer(() => lock.release())
    }
    const opened = closedWith(closing, await openSource(source))
    const filled = closedWith(closing, await openDestination(destination, outline))
    return await copyDatabase({ source: opened, destination: filled, outline, signal, onStep })
  } catch (error) {
    if (error instanceof CopyRefused) throw new CommandFailure(EXIT.failed, error.message, { cause: error })
    throw error
  }
}

function isSame(one: DatabasePlace, other: DatabasePlace): boolean {
  if (one.kind === 'postgres') return other.kind === 'postgres' && one.url === other.url
  return other.kind === 'sqlite' && one.path === other.path
}

function lockOf(place: DatabasePlace): string | undefined {
  return place.kind === 'sqlite' ? place.lock : undefined
}

async function openSource(place: DatabasePlace): Promise<CopyEnd> {
  if (place.kind === 'sqlite') return openSqliteSource(place.path)
  const { openPostgresSource } = await import('#db/copy/postgres-end.ts')
  return openPostgresSource(place.url)
}

async function openDestination(place: DatabasePlace, outline: SchemaOutline): Promise<CopyDestination> {
  if (place.kind === 'sqlite') return openSqliteDestination(place.path, outline)
  const { openPostgresDestination } = await import('#db/copy/postgres-end.ts')
  return openPostgresDestination(place.url, outline)
}

function closedWith<E extends CopyEnd>(closing: AsyncDisposableStack, end: E): E {
  closing.defer(() => end.close())
  return end
}
