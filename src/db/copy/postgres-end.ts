// A database in PostgreSQL as one end of a copy: held by the lock of migrations, and by one that every server shares.
import pg from 'pg'
import {
  type CopyDestination,
  type CopyEnd,
  CopyRefused,
  PAGE_BYTES_MAX,
  PAGE_ROWS_MAX,
} from '#db/copy/end.ts'
import type { ColumnKind, SchemaOutline, TableOutline } from '#db/copy/outline.ts'
import { checkRow, type Row, type Value } from '#db/copy/row.ts'
import { migrate } from '#db/migrate.ts'
import { TRY_MIGRATION_LOCK, TRY_PRESENCE_ALONE } from '#db/postgres/advisory-locks.ts'
import { clientOptions } from '#db/postgres/client-options.ts'
import { kyselyOver } from '#db/postgres/kysely-postgres.ts'
import { refuseOldServer } from '#db/postgres/migrate-postgres.ts'
import { UNFINISHED_COPY } from '#db/unfinished-copy.ts'

const INTEGERS: ReadonlySet<number> = new Set([20, 21, 23])

const exactTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    INTEGERS.has(oid) ? BigInt : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

const TYPES: Readonly<Record<ColumnKind, string>> = {
  integer: 'bigint',
  real: 'double precision',
  text: 'text',
  bytes: 'bytea',
}

/** @throws CopyRefused when it cannot be reached or is in use */
export async function openPostgresSource(url: string): Promise<CopyEnd> {
  return new PostgresEnd(labelOf(url), await connectAlone(url))
}

/** @throws CopyRefused when it cannot be reached or is in use */
export async function openPostgresDestination(url: string, outline: SchemaOutline): Promise<CopyDestination> {
  return new PostgresDestination(labelOf(url), await connectAlone(url), outline)
}

function labelOf(url: string): string {
  const options = clientOptions(url)
  return `postgres://${options.host ?? 'localhost'}/${options.database ?? options.user ?? ''}`
}

async function connectAlone(url: string): Promise<pg.Client> {
  // A page of a large table may take its time: whoever waits sees how far it is, and can end it.
  const client = new pg.Client({
    ...clientOptions(url),
    types: exactTypes,
    pipeline: false,
    statement_timeout: 0,
    query_timeout: 0,
    idle_in_transaction_session_timeout: 0,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await refuseOldServer(client)
    if (!(await isTrue(client, TRY_MIGRATION_LOCK)))
      throw new CopyRefused(
        `${labelOf(url)} is being copied, or brought up to date, by another process: wait for it`,
      )
    if (!(await isTrue(client, TRY_PRESENCE_ALONE)))
      throw new CopyRefused(`${labelOf(url)} is in use: stop every server that has it`)
    return client
  } catch (cause) {
    await client.end().catch(() => {})
    if (cause instanceof CopyRefused) throw cause
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new CopyRefused(`${labelOf(url)} cannot be used: ${message}`, { cause })
  }
}

async function isTrue(client: pg.Client, sql: string): Promise<boolean> {
  const { rows } = await client.query({ text: sql, rowMode: 'array' })
  return rows[0]?.[0] === true
}

class PostgresEnd implements CopyEnd {
  readonly engine = 'postgres'
  readonly label: string
  protected readonly client: pg.Client

  constructor(label: string, client: pg.Client) {
    this.label = label
    this.client = client
  }

  async migrations(): Promise<readonly string[] | undefined> {
    if (!(await this.has('migrations'))) return undefined
    const rows = await this.rows('select name from migrations')
    return rows.map(([name]) => String(name)).sort()
  }

  async unfinishedCopy(): Promise<string | undefined> {
    if (!(await this.has(UNFINISHED_COPY))) return undefined
    const [row] = await this.rows(`select source from ${UNFINISHED_COPY}`)
    return String(row?.[0] ?? '')
  }

  async page(table: TableOutline, after: Row | undefined): Promise<readonly Row[]> {
    const columns = table.columns.map(quoted).join()
    const keys = keyColumns(table)
    const bound = keyValues(table, after)
    const where = after === undefined ? '' : `where (${keys}) > (${bound})`
    // The lengths are known without reading the values. The row that exceeds the limit is the last one.
    const sizes = table.columns.filter(({ kind }) => kind === 'text' || kind === 'bytes')
    const size = sizes.map((column) => `coalesce(octet_length(${quoted(column)}), 0)`).join('+') || '0'
    const rows = await this.rows(
      `select ${columns} from (
        select ${columns}, sum(row_bytes) over (order by ${keys} rows between unbounded preceding and 1 preceding) as before
        from (select ${columns}, ${size} as row_bytes from ${table.name} ${where}
          order by ${keys} limit ${PAGE_ROWS_MAX}) as page) as sized
      where coalesce(before, 0) <= ${PAGE_BYTES_MAX} order by ${keys}`,
      after ?? [],
    )
    return rows.map((row) => checkRow(table, row))
  }

  async lastKey(table: TableOutline): Promise<Row | undefined> {
    const keys = table.key.map((place) => quoted(table.columns[place] ?? { name: '' }))
    const order = keys.map((key) => `${key} desc`).join()
    const [row] = await this.rows(`select ${keys.join()} from ${table.name} order by ${order} limit 1`)
    return row
  }

  async lastGiven(table: TableOutline): Promise<bigint> {
    const [row] = await this.rows(
      `select last_value - case when is_called then 0 else 1 end from ${await this.#sequenceOf(table)}`,
    )
    const last = row?.[0]
    return typeof last === 'bigint' ? last : 0n
  }

  async #sequenceOf({ name }: TableOutline): Promise<string> {
    const [row] = await this.rows('select pg_get_serial_sequence($1, $2)', [name, 'id'])
    return String(row?.[0])
  }

  async close(): Promise<void> {
    await this.client.end()
  }

  protected async has(table: string): Promise<boolean> {
    const [row] = await this.rows('select to_regclass($1) is not null', [table])
    return String(row?.[0]) === 'true'
  }

  protected async rows(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.client.query<Value[]>({ text, values: [...values], rowMode: 'array' })
    return rows
  }

  protected async inTransaction(work: () => Promise<void>): Promise<void> {
    await this.client.query('begin')
    try {
      await work()
      await this.client.query('commit')
    } catch (error) {
      await this.client.query('rollback').catch(() => {})
      throw error
    }
  }
}

class PostgresDestination extends PostgresEnd implements CopyDestination {
  readonly #outline: SchemaOutline

  constructor(label: string, client: pg.Client, outline: SchemaOutline) {
    super(label, client)
    this.#outline = outline
  }

  async rowCounts(tables: readonly TableOutline[]): Promise<ReadonlyMap<string, number>> {
    const counted = new Map<string, number>()
    for (const { name } of tables) {
      if (!(await this.has(name))) continue
      const [row] = await this.rows(`select count(*) from ${name}`)
      counted.set(name, Number(row?.[0]))
    }
    return counted
  }

  async begin(source: string): Promise<void> {
    // Of nothing, as long as rows of another copy may be there.
    await this.mark('')
    await this.resume()
    await this.client.query(`truncate ${this.#outline.tables.map(({ name }) => name).join()}`)
    await this.mark(source)
  }

  async resume(): Promise<void> {
    await migrate(kyselyOver((query) => this.client.query(query)))
  }

  async mark(source: string): Promise<void> {
    await this.inTransaction(async () => {
      await this.client.query(`create table if not exists ${UNFINISHED_COPY} (source text not null)`)
      await this.client.query(`delete from ${UNFINISHED_COPY}`)
      await this.client.query(`insert into ${UNFINISHED_COPY} (source) values ($1)`, [source])
    })
  }

  async write({ name, columns }: TableOutline, rows: readonly Row[]): Promise<void> {
    const arrays = columns.map((_, place) => rows.map((row) => postgresValue(row[place] ?? null)))
    const from = columns.map(({ kind }, place) => `$${place + 1}::${TYPES[kind]}[]`).join()
    await this.inTransaction(async () => {
      // They would count what is copied as counted already. Nobody ever sees the table without them.
      await this.client.query(`alter table ${name} disable trigger user`)
      await this.client.query({
        text: `insert into ${name} (${columns.map(quoted).join()}) select * from unnest(${from})`,
        values: arrays,
      })
      await this.client.query(`alter table ${name} enable trigger user`)
    })
  }

  async setLastGiven({ name }: TableOutline, last: bigint): Promise<void> {
    const sequence = `pg_get_serial_sequence('${name}', 'id')`
    await this.client.query(
      last > 0n ? `select setval(${sequence}, ${last})` : `select setval(${sequence}, 1, false)`,
    )
  }

  async finish(): Promise<void> {
    for (const { name } of this.#outline.tables) await this.client.query(`analyze ${name}`)
    await this.inTransaction(async () => {
      await this.client.query('set local synchronous_commit = on')
      await this.client.query(`drop table ${UNFINISHED_COPY}`)
    })
  }
}

function postgresValue(value: Value): unknown {
  return value instanceof Uint8Array ? Buffer.from(value) : value
}

function quoted({ name }: { readonly name: string }): string {
  return `"${name}"`
}

function keyColumns({ key, columns }: TableOutline): string {
  return key.map((place) => quoted(columns[place] ?? { name: '' })).join()
}

function keyValues({ key, columns }: TableOutline, after: Row | undefined): string {
  const types = key.map((place) => TYPES[columns[place]?.kind ?? 'text'])
  return after === undefined ? '' : types.map((type, index) => `$${index + 1}::${type}`).join()
}
