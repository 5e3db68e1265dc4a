// Hot queries as named prepared statements: built and compiled once, parsed by the server once a connection.
import type { Kysely } from 'kysely'
import type pg from 'pg'
import { type HotQuery, Placeholder } from '#db/db.ts'
import { storable } from '#db/postgres/storable.ts'
import type { Tables } from '#db/schema.ts'

interface Statement {
  readonly name: string
  readonly text: string
  /** Constants, and placeholders for what is given when it runs. */
  readonly values: readonly unknown[]
}

export class Statements {
  readonly #kysely: Kysely<Tables>
  readonly #compiled = new Map<HotQuery<never, unknown>, Statement>()

  /** Kysely builds with it; nothing is run on it. */
  constructor(kysely: Kysely<Tables>) {
    this.#kysely = kysely
  }

  /** The query for `pg`, its parameters bound. */
  bind<P extends object, R>(query: HotQuery<P, R>, parameters: P): pg.QueryConfig {
    const { name, text, values } = this.#statement(query)
    const given = parameters as Record<string, unknown>
    return {
      name,
      text,
      values: values.map((value) => storable(value instanceof Placeholder ? given[value.name] : value)),
    }
  }

  #statement<P extends object, R>(query: HotQuery<P, R>): Statement {
    const key = query as unknown as HotQuery<never, unknown>
    let statement = this.#compiled.get(key)
    if (!statement) {
      const { sql, values } = query.compile(this.#kysely)
      statement = { name: `hot${this.#compiled.size}`, text: sql, values }
      this.#compiled.set(key, statement)
    }
    return statement
  }
}
