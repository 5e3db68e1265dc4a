// The scale-out engine: PostgreSQL, shared by any number of processes.
//
// Short reads share a few connections and are sent without waiting for each other. A transaction has a connection of its
// own. What the server does not answer in time, or at all, is UNAVAILABLE: clients come back.
import type pg from 'pg'
import type { Db, Transaction, TransactionOptions } from '#db/db.ts'
import { clientOptions } from '#db/postgres/client-options.ts'
import { PostgresExecutor } from '#db/postgres/executor.ts'
import { kyselyOver } from '#db/postgres/kysely-postgres.ts'
import { migratePostgres } from '#db/postgres/migrate-postgres.ts'
import { SharedConnection } from '#db/postgres/shared-connection.ts'
import { PostgresSignals } from '#db/postgres/signals.ts'
import { Statements } from '#db/postgres/statements.ts'
import { Transactions } from '#db/postgres/transactions.ts'
import type { Signals } from '#db/signals.ts'

/** Connections that reads share. */
const READERS = 2
export const CONNECTIONS_DEFAULT = 16

export interface PostgresOptions {
  readonly url: string
  /** Connections for transactions; three more are for reads and signals. */
  readonly connections?: number | undefined
  /** Told when the connection for signals is lost and when it is back, and of settings that may lose what was acknowledged. */
  readonly onWarning?: (message: string, fields: Readonly<Record<string, unknown>>) => void
  readonly random?: () => number
}

export interface PostgresStore {
  readonly db: Db
  readonly signals: Signals
}

/** Brings the schema up to date first. @throws Error with a sentence for the operator */
export async function openPostgres(options: PostgresOptions): Promise<PostgresStore> {
  const { url, connections = CONNECTIONS_DEFAULT, onWarning = () => {}, random = Math.random } = options
  const client = clientOptions(url)
  await migratePostgres(client, onWarning)
  // Statements are compiled, never sent, with this one.
  const statements = new Statements(kyselyOver(() => Promise.reject(new Error('nothing is sent here'))))
  const transactions = new Transactions({ client, connections, statements, random })
  const readers = Array.from({ length: READERS }, () => new SharedConnection(client))
  const signals = new PostgresSignals(client, onWarning)
  await signals.tried
  return { db: new PostgresDb(statements, transactions, readers), signals }
}

class PostgresDb extends PostgresExecutor implements Db {
  readonly #transactions: Transactions
  readonly #readers: readonly SharedConnection[]

  constructor(statements: Statements, transactions: Transactions, readers: readonly SharedConnection[]) {
    super(statements, inTurn(readers), (query) => transactions.query(query))
    this.#transactions = transactions
    this.#readers = readers
  }

  transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.#transactions.run(work, options)
  }

  async close(): Promise<void> {
    await this.#transactions.close()
    for (const reader of this.#readers) await reader.close()
  }
}

function inTurn(readers: readonly SharedConnection[]): (query: pg.QueryConfig) => Promise<pg.QueryResult> {
  let turn = 0
  return (query) => {
    turn = (turn + 1) % readers.length
    const reader = readers[turn]
    if (!reader) throw new Error('there is no connection to read with')
    return reader.query(query)
  }
}
