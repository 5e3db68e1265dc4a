// Proves that two databases have the same rows: reads both in the order of the keys, side by side.
import { createHash } from 'node:crypto'
import type { CopyEnd } from '#db/copy/end.ts'
import type { TableOutline } from '#db/copy/outline.ts'
import { keyOf, type Row, rowText } from '#db/copy/row.ts'

export interface TableProof {
  readonly table: string
  readonly rows: number
  /** sha256 of all rows of the source, in the order of the keys. */
  readonly digest: string
  /** Undefined where both have the same. */
  readonly difference: string | undefined
}

/** `onRows` is told how many were compared since. */
export async function compareTable(
  source: CopyEnd,
  destination: CopyEnd,
  table: TableOutline,
  onRows: (rows: number) => void,
): Promise<TableProof> {
  const hash = createHash('sha256')
  const theirs = rowsOf(destination, table)
  let rows = 0
  let difference: string | undefined
  const differs = (row: Row) =>
    `${table.name} differs from the row on whose key is ${keyOf(table, row).map(String).join(', ')}`
  for await (const page of pagesOf(source, table)) {
    for (const row of page) {
      const text = rowText(row)
      hash.update(text)
      if (difference !== undefined) continue
      const other = await theirs.next()
      if (other.done || rowText(other.value) !== text) difference = differs(row)
    }
    rows += page.length
    onRows(page.length)
  }
  if (difference === undefined) {
    const extra = await theirs.next()
    if (!extra.done) difference = differs(extra.value)
  }
  difference ??= await numberingDifference(source, destination, table)
  return { table: table.name, rows, digest: `sha256:${hash.digest('hex')}`, difference }
}

async function numberingDifference(
  source: CopyEnd,
  destination: CopyEnd,
  table: TableOutline,
): Promise<string | undefined> {
  if (!table.isNumbered) return undefined
  const [was, is] = [await source.lastGiven(table), await destination.lastGiven(table)]
  // Where numbers may be given twice, SQLite counts on from the last row that is there.
  if (table.neverReuses ? was === is : is >= (await lastNumber(source, table))) return undefined
  return `the rows of ${table.name} are numbered on from ${is} instead of ${was}`
}

async function lastNumber(end: CopyEnd, table: TableOutline): Promise<bigint> {
  const last = (await end.lastKey(table))?.[0]
  return typeof last === 'bigint' ? last : 0n
}

export async function* pagesOf(
  end: CopyEnd,
  table: TableOutline,
  after?: Row,
): AsyncGenerator<readonly Row[]> {
  for (let last = after; ; ) {
    const page = await end.page(table, last)
    const lastRow = page.at(-1)
    if (!lastRow) return
    yield page
    last = keyOf(table, lastRow)
  }
}

async function* rowsOf(end: CopyEnd, table: TableOutline): AsyncGenerator<Row, undefined> {
  for await (const page of pagesOf(end, table)) yield* page
}
