// Moves all facts from one database to another, of either engine: table after table, in pages, then proves that both are the
// same. What was cut off goes on where it stopped: a page and its place are one transaction, and the largest key that is
// there says where to go on. Until the proof the destination carries a mark, and no server starts on it.
import { compareTable, pagesOf, type TableProof } from '#db/copy/compare.ts'
import { type CopyDestination, type CopyEnd, CopyRefused } from '#db/copy/end.ts'
import type { SchemaOutline } from '#db/copy/outline.ts'

export interface CopyStep {
  readonly step: 'copying' | 'comparing'
  readonly table: string
  /** Rows of the table so far. */
  readonly rows: number
}

export interface DatabaseCopy {
  readonly from: string
  readonly to: string
  /** A copy that did not end was gone on with. */
  readonly resumed: boolean
  readonly rows: number
  readonly tables: readonly TableProof[]
  /** Sentences; empty when both are the same. */
  readonly differences: readonly string[]
}

export interface CopyOptions {
  readonly source: CopyEnd
  readonly destination: CopyDestination
  readonly outline: SchemaOutline
  readonly signal: AbortSignal
  readonly onStep: (step: CopyStep) => void
}

/** @throws CopyRefused when one of both is not what it must be: then nothing was changed */
export async function copyDatabase(options: CopyOptions): Promise<DatabaseCopy> {
  const { source, destination, outline } = options
  await checkSource(source, outline)
  const fingerprint = await fingerprintOf(source, outline)
  const former = await destination.unfinishedCopy()
  if (former === undefined) await checkEmpty(destination, outline)
  const resumed = former === fingerprint
  if (resumed) await destination.resume()
  else await destination.begin(fingerprint)
  await copyTables(options)
  const proofs = await compareTables(options)
  const differences = proofs.flatMap(({ difference }) => difference ?? [])
  // What was copied once and is wrong is not gone on with.
  if (differences.length > 0) await destination.mark('')
  else await destination.finish()
  const rows = proofs.reduce((sum, proof) => sum + proof.rows, 0)
  return { from: source.label, to: destination.label, resumed, rows, tables: proofs, differences }
}

async function checkSource(source: CopyEnd, { migrations }: SchemaOutline): Promise<void> {
  const { label } = source
  if ((await source.unfinishedCopy()) !== undefined)
    throw new CopyRefused(`${label} is itself half of a copy: end that one first`)
  const has = await source.migrations()
  if (has === undefined) throw new CopyRefused(`${label} is no database of Stowage`)
  if (has.some((name) => !migrations.includes(name)))
    throw new CopyRefused(`${label} was written by a newer version of Stowage: copy it with that one`)
  if (has.length < migrations.length)
    throw new CopyRefused(
      `${label} was written by an older version of Stowage: start this one on it once, stop it, and copy then`,
    )
}

async function checkEmpty(destination: CopyDestination, { tables, seeds }: SchemaOutline): Promise<void> {
  const counts = await destination.rowCounts(tables)
  const full = tables.filter(({ name }) => (counts.get(name) ?? 0) > (seeds.get(name) ?? 0))
  if (full.length === 0) return
  const said = full.slice(0, 3).map(({ name }) => `${name} has ${counts.get(name)} rows`)
  throw new CopyRefused(
    `${destination.label} is not empty (${said.join(', ')}): name a database that is, or move that one away`,
  )
}

/**
 * Tells the state of a source from a later one as far as a look can: each start of a server on SQLite notes its time, and
 * whatever is pushed or done to it gives numbers. What it does not see the comparison finds.
 */
async function fingerprintOf(source: CopyEnd, { tables }: SchemaOutline): Promise<string> {
  const known: string[] = [source.label]
  for (const table of tables) {
    if (table.name === 'settings') {
      for (const [key, value] of await source.page(table, undefined))
        if (key === 'store_id' || key === 'opened_at') known.push(`${key}=${value}`)
    } else if (table.neverReuses) known.push(`${table.name}=${await source.lastGiven(table)}`)
  }
  return known.join(' ')
}

async function copyTables(options: CopyOptions): Promise<void> {
  const { source, destination, outline, signal, onStep } = options
  for (const table of outline.tables) {
    let rows = 0
    for await (const page of pagesOf(source, table, await destination.lastKey(table))) {
      signal.throwIfAborted()
      await destination.write(table, page)
      rows += page.length
      onStep({ step: 'copying', table: table.name, rows })
    }
    if (table.isNumbered) await destination.setLastGiven(table, await source.lastGiven(table))
  }
}

async function compareTables({
  source,
  destination,
  outline,
  signal,
  onStep,
}: CopyOptions): Promise<TableProof[]> {
  const proofs: TableProof[] = []
  for (const table of outline.tables) {
    let rows = 0
    const onRows = (more: number) => {
      signal.throwIfAborted()
      rows += more
      onStep({ step: 'comparing', table: table.name, rows })
    }
    proofs.push(await compareTable(source, destination, table, onRows))
  }
  return proofs
}
