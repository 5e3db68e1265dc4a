// A database file as one end of a copy: held by a lock that nobody gets while another process has the file open.
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Kysely } from 'kysely'
import {
  type CopyDestination,
  type CopyEnd,
  CopyRefused,
  PAGE_BYTES_MAX,
  PAGE_ROWS_MAX,
} from '#db/copy/end.ts'
import type { SchemaOutline, TableOutline } from '#db/copy/outline.ts'
import { checkRow, type Row, type Value } from '#db/copy/row.ts'
import { SqliteConnection, sqliteDialect } from '#db/kysely-sqlite.ts'
import { migrate } from '#db/migrate.ts'
import type { Tables } from '#db/schema.ts'
import { UNFINISHED_COPY } from '#db/unfinished-copy.ts'

const PRAGMAS = `pragma busy_timeout = 0; pragma locking_mode = exclusive; pragma journal_mode = wal;
  pragma synchronous = normal; pragma foreign_keys = on; begin immediate; commit`

/** @throws CopyRefused when the file is absent or in use */
export async function openSqliteSource(path: string): Promise<CopyEnd> {
  if (!existsSync(path)) throw new CopyRefused(`${path} does not exist: there is nothing to copy`)
  return new SqliteEnd(path, connectAlone(path))
}

/** @throws CopyRefused when the file is in use */
export async function openSqliteDestination(path: string, outline: SchemaOutline): Promise<CopyDestination> {
  await mkdir(dirname(path), { recursive: true })
  return new SqliteDestination(path, connectAlone(path), outline)
}

function connectAlone(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  try {
    database.exec(PRAGMAS)
    return database
  } catch (error) {
    database.close()
    const message = error instanceof Error ? error.message : String(error)
    const said = /locked|busy/i.test(message)
      ? `${path} is in use: stop the server that has it`
      : `${path} cannot be used: ${message}`
    throw new CopyRefused(said, { cause: error })
  }
}

class SqliteEnd implements CopyEnd {
  readonly engine = 'sqlite'
  readonly label: string
  protected database: DatabaseSync

  constructor(path: string, database: DatabaseSync) {
    this.label = path
    this.database = database
  }

  async migrations(): Promise<readonly string[] | undefined> {
    if (!this.has('migrations')) return undefined
    const rows = this.database.prepare('select name from migrations order by name').all()
    return rows.map(({ name }) => String(name))
  }

  async unfinishedCopy(): Promise<string | undefined> {
    if (!this.has(UNFINISHED_COPY)) return undefined
    const row = this.database.prepare(`select source from ${UNFINISHED_COPY}`).get()
    return String(row?.['source'] ?? '')
  }

  async page(table: TableOutline, after: Row | undefined): Promise<readonly Row[]> {
    const { name, columns } = table
    const keys = keyColumns(table)
    const where = after === undefined ? '' : `where (${keys}) > (${after.map(() => '?').join()})`
    const statement = this.database.prepare(
      `select ${columns.map(quoted).join()} from ${name} ${where} order by ${keys} limit ${PAGE_ROWS_MAX}`,
    )
    statement.setReadBigInts(true)
    statement.setReturnArrays(true)
    const rows: Row[] = []
    let bytes = 0
    for (const row of statement.iterate(...(after ?? [])) as Iterable<unknown> as Iterable<Value[]>) {
      rows.push(checkRow(table, row))
      for (const value of row)
        bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length : 0
      if (bytes > PAGE_BYTES_MAX) break
    }
    return rows
  }

  async lastKey(table: TableOutline): Promise<Row | undefined> {
    const keys = table.key.map((place) => quoted(table.columns[place] ?? { name: '' }))
    const order = keys.map((key) => `${key} desc`).join()
    const statement = this.database.prepare(
      `select ${keys.join()} from ${table.name} order by ${order} limit 1`,
    )
    statement.setReadBigInts(true)
    statement.setReturnArrays(true)
    return statement.get() as unknown as Row | undefined
  }

  async lastGiven(table: TableOutline): Promise<bigint> {
    const statement = table.neverReuses
      ? this.database.prepare('select seq as last from sqlite_sequence where name = ?')
      : this.database.prepare(`select max(id) as last from ${table.name} where ? <> ''`)
    statement.setReadBigInts(true)
    const last = statement.get(table.name)?.['last']
    return typeof last === 'bigint' ? last : 0n
  }

  async close(): Promise<void> {
    this.database.close()
  }

  protected has(table: string): boolean {
    const found = this.database.prepare("select 1 from sqlite_schema where type = 'table' and name = ?")
    return found.get(table) !== undefined
  }

  protected inTransaction(work: () => void): void {
    this.database.exec('begin immediate')
    try {
      work()
      this.database.exec('commit')
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('rollback')
      throw error
    }
  }
}

class SqliteDestination extends SqliteEnd implements CopyDestination {
  readonly #outline: SchemaOutline

  constructor(path: string, database: DatabaseSync, outline: SchemaOutline) {
    super(path, database)
    this.#outline = outline
  }

  async rowCounts(tables: readonly TableOutline[]): Promise<ReadonlyMap<string, number>> {
    const there = tables.filter(({ name }) => this.has(name))
    const counted = there.map(({ name }) => {
      const row = this.database.prepare(`select count(*) as rows from ${name}`).get()
      return [name, Number(row?.['rows'])] as const
    })
    return new Map(counted)
  }

  async begin(source: string): Promise<void> {
    this.database.close()
    for (const suffix of ['', '-wal', '-shm']) await rm(`${this.label}${suffix}`, { force: true })
    this.database = connectAlone(this.label)
    await this.mark('')
    await this.resume()
    this.inTransaction(() => {
      for (const { name } of this.#outline.tables.toReversed()) this.database.exec(`delete from ${name}`)
    })
    await this.mark(source)
  }

  async resume(): Promise<void> {
    await migrate(new Kysely<Tables>({ dialect: sqliteDialect(new SqliteConnection(this.database)) }))
    // They would count what is copied as counted already. They come back with the end.
    this.inTransaction(() => {
      for (const { name } of this.#outline.sqliteTriggers)
        this.database.exec(`drop trigger if exists ${name}`)
    })
  }

  async mark(source: string): Promise<void> {
    this.inTransaction(() => {
      this.database.exec(`create table if not exists ${UNFINISHED_COPY} (source text not null)`)
      this.database.exec(`delete from ${UNFINISHED_COPY}`)
      this.database.prepare(`insert into ${UNFINISHED_COPY} (source) values (?)`).run(source)
    })
  }

  async write({ name, columns }: TableOutline, rows: readonly Row[]): Promise<void> {
    const statement = this.database.prepare(
      `insert into ${name} (${columns.map(quoted).join()}) values (${columns.map(() => '?').join()})`,
    )
    this.inTransaction(() => {
      for (const row of rows) statement.run(...row)
    })
  }

  async setLastGiven({ name, neverReuses }: TableOutline, last: bigint): Promise<void> {
    if (!neverReuses) return
    this.inTransaction(() => {
      this.database.prepare('delete from sqlite_sequence where name = ?').run(name)
      this.database.prepare('insert into sqlite_sequence (name, seq) values (?, ?)').run(name, last)
    })
  }

  async finish(): Promise<void> {
    this.database.exec('pragma synchronous = full')
    this.inTransaction(() => {
      for (const { sql } of this.#outline.sqliteTriggers) this.database.exec(sql)
      this.database.exec(`drop table ${UNFINISHED_COPY}`)
    })
    this.database.exec('pragma wal_checkpoint(truncate)')
  }
}

function quoted({ name }: { readonly name: string }): string {
  return `"${name}"`
}

function keyColumns({ key, columns }: TableOutline): string {
  return key.map((place) => quoted(columns[place] ?? { name: '' })).join()
}
