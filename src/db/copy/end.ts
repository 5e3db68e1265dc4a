// Where a copy of a database comes from and goes to. The engines differ here alone.
import type { TableOutline } from '#db/copy/outline.ts'
import type { Row } from '#db/copy/row.ts'
import type { Engine } from '#db/db.ts'

/** A page has no more rows, and ends with the row that exceeds this many bytes. */
export const PAGE_ROWS_MAX = 1_000
export const PAGE_BYTES_MAX = 4 * 1024 * 1024

/** Held alone for as long as it is open: no server and no other copy has it meanwhile. */
export interface CopyEnd {
  readonly engine: Engine
  /** For sentences: a path, or a URL without a password. */
  readonly label: string
  /** Names of the migrations that it has had, in order; undefined where there is no schema of ours. */
  migrations(): Promise<readonly string[] | undefined>
  /** What a copy that did not end was of; undefined where there is none. */
  unfinishedCopy(): Promise<string | undefined>
  /** Rows by primary key, after that key; an empty page is the end. */
  page(table: TableOutline, after: Row | undefined): Promise<readonly Row[]>
  /** The largest key; undefined for a table without rows. */
  lastKey(table: TableOutline): Promise<Row | undefined>
  /** The last number that was given to a row, 0 for none. */
  lastGiven(table: TableOutline): Promise<bigint>
  close(): Promise<void>
}

export interface CopyDestination extends CopyEnd {
  /** Rows of each of the tables that are there. */
  rowCounts(tables: readonly TableOutline[]): Promise<ReadonlyMap<string, number>>
  /** Marks it as unfinished, makes the tables, and takes out whatever rows are there. */
  begin(source: string): Promise<void>
  /** Goes on with a copy that did not end. */
  resume(): Promise<void>
  /** Says in the mark what the copy is of. */
  mark(source: string): Promise<void>
  /** All of the page or nothing; no trigger counts it. */
  write(table: TableOutline, rows: readonly Row[]): Promise<void>
  setLastGiven(table: TableOutline, last: bigint): Promise<void>
  /** Takes the mark away: from then on it is a database like any other, on the disk. */
  finish(): Promise<void>
}

/** It cannot be copied from or to, and nothing was changed. */
export class CopyRefused extends Error {
  override readonly name = 'CopyRefused'
}
