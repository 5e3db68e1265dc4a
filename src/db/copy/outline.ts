// The tables as the migrations make them, read from the schema itself: what a later migration adds is copied too.
import { DatabaseSync } from 'node:sqlite'
import { Kysely } from 'kysely'
import { SqliteConnection, sqliteDialect } from '#db/kysely-sqlite.ts'
import { migrate } from '#db/migrate.ts'
import type { Tables } from '#db/schema.ts'

export type ColumnKind = 'integer' | 'real' | 'text' | 'bytes'

export interface ColumnOutline {
  readonly name: string
  readonly kind: ColumnKind
}

export interface TableOutline {
  readonly name: string
  readonly columns: readonly ColumnOutline[]
  /** Its primary key: places in `columns`, in the order of the key. */
  readonly key: readonly number[]
  /** Its rows are numbered by the database. */
  readonly isNumbered: boolean
  /** A number is never given twice, also when the last row is deleted. */
  readonly neverReuses: boolean
  /** Tables that its rows refer to. */
  readonly refersTo: readonly string[]
}

export interface SchemaOutline {
  /** Each after those that it refers to. */
  readonly tables: readonly TableOutline[]
  /** Names of the migrations, in their order. */
  readonly migrations: readonly string[]
  /** What SQLite is told to make each trigger. */
  readonly sqliteTriggers: readonly { readonly name: string; readonly sql: string }[]
  /** Rows that the migrations themselves bring, by table. */
  readonly seeds: ReadonlyMap<string, number>
}

/** Kysely keeps its own books of what was migrated. */
export const MIGRATION_TABLES: readonly string[] = ['migrations', 'migration_lock']

/** The schema of this version. @throws Error when a table cannot be copied: that is a fault of this program */
export async function schemaOutline(): Promise<SchemaOutline> {
  const database = new DatabaseSync(':memory:')
  try {
    await migrate(new Kysely<Tables>({ dialect: sqliteDialect(new SqliteConnection(database)) }))
    return outlineOf(database)
  } finally {
    database.close()
  }
}

function outlineOf(database: DatabaseSync): SchemaOutline {
  const all = (sql: string, ...values: string[]) => database.prepare(sql).all(...values)
  const text = (value: unknown) => String(value ?? '')
  const tables = all(
    "select name, sql from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name",
  )
    .filter(({ name }) => !MIGRATION_TABLES.includes(text(name)))
    .map(({ name, sql }) => tableOutline(database, text(name), text(sql)))
  const counted = tables.map(({ name }) => {
    const [row] = all(`select count(*) as rows from ${name}`)
    return [name, Number(row?.['rows'])] as const
  })
  return {
    tables: inOrder(tables),
    migrations: all('select name from migrations order by name').map(({ name }) => text(name)),
    sqliteTriggers: all("select name, sql from sqlite_schema where type = 'trigger' order by name").map(
      ({ name, sql }) => ({ name: text(name), sql: text(sql) }),
    ),
    seeds: new Map(counted),
  }
}

function tableOutline(database: DatabaseSync, name: string, sql: string): TableOutline {
  const info = database.prepare('select name, type, pk from pragma_table_info(?) order by cid').all(name)
  const columns = info.map((column) => ({
    name: String(column['name']),
    kind: kindOf(name, String(column['name']), String(column['type'])),
  }))
  const key = info
    .map(({ pk }, place) => ({ pk: Number(pk), place }))
    .filter(({ pk }) => pk > 0)
    .sort((one, other) => one.pk - other.pk)
    .map(({ place }) => place)
  if (key.length === 0) throw new Error(`the table ${name} has no primary key, so it cannot be copied`)
  const isNumbered = key.length === 1 && columns[key[0] ?? -1]?.name === 'id' && isInteger(info, 'id')
  const refersTo = database
    .prepare('select distinct "table" as name from pragma_foreign_key_list(?)')
    .all(name)
    .map((reference) => String(reference['name']))
  return { name, columns, key, isNumbered, neverReuses: /\bautoincrement\b/i.test(sql), refersTo }
}

function isInteger(info: readonly Record<string, unknown>[], column: string): boolean {
  return info.some(({ name, type }) => name === column && String(type).toLowerCase() === 'integer')
}

const KINDS: Readonly<Record<string, ColumnKind>> = {
  integer: 'integer',
  bigint: 'integer',
  'double precision': 'real',
  text: 'text',
  blob: 'bytes',
}

function kindOf(table: string, column: string, type: string): ColumnKind {
  const kind = KINDS[type.toLowerCase()]
  if (!kind) throw new Error(`${table}.${column} is of type ${type}, which cannot be copied`)
  return kind
}

function inOrder(tables: readonly TableOutline[]): TableOutline[] {
  const ordered: TableOutline[] = []
  const placed = new Set<string>()
  while (ordered.length < tables.length) {
    const next = tables.find(
      ({ name, refersTo }) => !placed.has(name) && refersTo.every((other) => placed.has(other)),
    )
    if (!next) throw new Error('tables refer to each other in a circle, so they cannot be copied in an order')
    placed.add(next.name)
    ordered.push(next)
  }
  return ordered
}
