// Kysely on node:sqlite: a driver whose statements are synchronous and stay prepared.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { databaseFailure } from '#db/sqlite-failure.ts'

const PREPARED_STATEMENTS_MAX = 500

type SqlValue = null | number | bigint | string | Uint8Array

/** SQLite rolls back DDL too; Kysely's own adapter assumes that it does not. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** One connection: statements by their SQL, the least recently made dropped first. */
export class SqliteConnection implements DatabaseConnection {
  readonly database: DatabaseSync
  #prepared = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.database = database
  }

  prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql)
    if (!statement) {
      if (this.#prepared.size >= PREPARED_STATEMENTS_MAX) {
        const oldest = this.#prepared.keys().next().value
        if (oldest !== undefined) this.#prepared.delete(oldest)
      }
      statement = this.database.prepare(sql)
      this.#prepared.set(sql, statement)
    }
    return statement
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.prepare(query.sql)
    const values = query.parameters as SqlValue[]
    try {
      if (statement.columns().length > 0) return { rows: statement.all(...values) as R[] }
      const { changes, lastInsertRowid } = statement.run(...values)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    } catch (error) {
      throw databaseFailure(error)
    }
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    for (const row of this.prepare(query.sql).iterate(...(query.parameters as SqlValue[]))) {
      yield { rows: [row as R] }
    }
  }
}

class SqliteDriver implements Driver {
  #connection: SqliteConnection

  constructor(connection: SqliteConnection) {
    this.#connection = connection
  }

  async init(): Promise<void> {}
  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }
  async beginTransaction(): Promise<void> {
    this.#connection.database.exec('begin immediate')
  }
  async commitTransaction(): Promise<void> {
    this.#connection.database.exec('commit')
  }
  async rollbackTransaction(): Promise<void> {
    // A full disk has SQLite roll back by itself; a second rollback would hide the first error.
    const { database } = this.#connection
    if (database.isTransaction) database.exec('rollback')
  }
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}
}

export function sqliteDialect(connection: SqliteConnection): Dialect {
  return {
    createAdapter: () => new TransactionalDdlAdapter(),
    createDriver: () => new SqliteDriver(connection),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}
