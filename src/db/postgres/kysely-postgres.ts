// Kysely on connections of ours: it builds and compiles, we send.
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  HandleEmptyInListsPlugin,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  type QueryResult,
  replaceWithNoncontingentExpression,
} from 'kysely'
import type pg from 'pg'
import { SharedSchemaCompiler } from '#db/postgres/compiler.ts'
import { postgresFailure } from '#db/postgres/failure.ts'
import { storable } from '#db/postgres/storable.ts'
import type { Tables } from '#db/schema.ts'

/** Sends one query and resolves to its answer. */
export type Send = (query: pg.QueryConfig) => Promise<pg.QueryResult>

const CHANGING: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

class SendingConnection implements DatabaseConnection {
  readonly #send: Send

  constructor(send: Send) {
    this.#send = send
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const { rows, command, rowCount } = await this.#send({ text: sql, values: parameters.map(storable) })
      if (!CHANGING.has(command)) return { rows }
      return { rows, numAffectedRows: BigInt(rowCount ?? 0) }
    } catch (error) {
      throw postgresFailure(error)
    }
  }

  // biome-ignore lint/correctness/useYield: Kysely asks for a generator, and nothing here streams.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('queries are not streamed from PostgreSQL: read them in pages')
  }
}

class SendingDriver implements Driver {
  readonly #connection: SendingConnection

  constructor(send: Send) {
    this.#connection = new SendingConnection(send)
  }

  async init(): Promise<void> {}
  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await run(connection, 'begin')
  }
  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await run(connection, 'commit')
  }
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await run(connection, 'rollback')
  }
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}
}

async function run(connection: DatabaseConnection, sql: string): Promise<void> {
  await connection.executeQuery({
    sql,
    parameters: [],
    query: { kind: 'RawNode' },
  } as unknown as CompiledQuery)
}

/** `in ()` finds nothing on SQLite, and is a syntax error on PostgreSQL: there it becomes what finds nothing. */
const EMPTY_LISTS = new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })

/** A Kysely whose queries go where `send` brings them. */
export function kyselyOver(send: Send): Kysely<Tables> {
  const dialect: Dialect = {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new SendingDriver(send),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new SharedSchemaCompiler(),
  }
  return new Kysely<Tables>({ dialect, plugins: [EMPTY_LISTS] })
}
