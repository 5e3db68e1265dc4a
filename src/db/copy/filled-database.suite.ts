// For tests: a database with rows in every table, of values that engines like to treat differently.
import { DatabaseSync } from 'node:sqlite'
import type { ColumnOutline, SchemaOutline, TableOutline } from '#db/copy/outline.ts'
import type { Row, Value } from '#db/copy/row.ts'
import { openSqliteDestination } from '#db/copy/sqlite-end.ts'

/** More than a number of JavaScript can tell from its neighbours. */
const LARGE = 2n ** 62n + 1n
const TEXTS = ['', 'plain', 'it\'s \\ "quoted", {braced}', 'ü 漢 🦜\n\t', 'null', '\\x00']

/** `rows` in each table; the numbers of those that are never given again have gone on to `lastGiven`. */
export async function fillDatabase(
  path: string,
  outline: SchemaOutline,
  { rows, lastGiven }: { readonly rows: number; readonly lastGiven: bigint },
): Promise<void> {
  const end = await openSqliteDestination(path, outline)
  await end.begin('a test')
  for (const table of outline.tables) {
    const made = Array.from({ length: rows }, (_, index) => madeRow(table, index + 1))
    if (rows > 0) await end.write(table, made)
    await end.setLastGiven(table, lastGiven)
  }
  await end.finish()
  await end.close()
}

function madeRow(table: TableOutline, number: number): Row {
  return table.columns.map((column, place) => madeValue(table, column, place, number))
}

function madeValue(table: TableOutline, column: ColumnOutline, place: number, number: number): Value {
  const isKey = table.key.includes(place)
  const isReference = column.name.endsWith('_id') || column.name === 'created_by'
  if (column.kind === 'integer') return isKey || isReference ? BigInt(number) : LARGE + BigInt(number)
  if (column.kind === 'real') return number / 3
  if (column.kind === 'bytes') return Buffer.from([0, 255, number % 256])
  // What is unique is told apart by its number.
  return `${TEXTS[(number + place) % TEXTS.length]}${number}`
}

/** Changes it as somebody with a tool would. */
export function alterSqlite(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}
