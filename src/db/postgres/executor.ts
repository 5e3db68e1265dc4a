// Runs hot queries and Kysely's over whatever sends them.
import type { Kysely } from 'kysely'
import type { Executor, HotQuery, Transaction } from '#db/db.ts'
import { postgresFailure } from '#db/postgres/failure.ts'
import { kyselyOver, type Send } from '#db/postgres/kysely-postgres.ts'
import type { Statements } from '#db/postgres/statements.ts'
import type { Tables } from '#db/schema.ts'

export class PostgresExecutor implements Executor {
  readonly engine = 'postgres'
  readonly kysely: Kysely<Tables>
  readonly #send: Send
  readonly #statements: Statements

  /** `sendBuilt` is for queries that are built anew each time, and may take long. */
  constructor(statements: Statements, send: Send, sendBuilt: Send = send) {
    this.#statements = statements
    this.#send = send
    this.kysely = kyselyOver(sendBuilt)
  }

  async all<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R[]> {
    try {
      return (await this.#send(this.#statements.bind(query, parameters))).rows
    } catch (error) {
      throw postgresFailure(error)
    }
  }

  async first<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R | undefined> {
    return (await this.all(query, parameters))[0]
  }

  async run<P extends object>(query: HotQuery<P, unknown>, parameters: P): Promise<number> {
    try {
      return (await this.#send(this.#statements.bind(query, parameters))).rowCount ?? 0
    } catch (error) {
      throw postgresFailure(error)
    }
  }
}

export class PostgresTransaction extends PostgresExecutor implements Transaction {
  readonly transaction = true
}
