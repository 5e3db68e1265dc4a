// Facts, in SQL. Query functions take an Executor: the Db itself (reads) or an open Transaction.
import type { Compilable, Kysely } from 'kysely'
import type { LockName } from '#db/locks.ts'
import type { Tables } from '#db/schema.ts'

/** Stands for a value that is given when a hot query runs. */
export class Placeholder {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Names the parameters of a hot query while it is built. */
export type Parameters<P> = { readonly [K in keyof P]: P[K] }

/**
 * A query that is built and compiled once for each engine and then only run: building one costs more than running it.
 * Holds no state; the engines keep what they prepared.
 */
export class HotQuery<P extends object, R> {
  readonly build: (kysely: Kysely<Tables>, parameters: Parameters<P>) => Compilable<R>

  constructor(build: (kysely: Kysely<Tables>, parameters: Parameters<P>) => Compilable<R>) {
    this.build = build
  }

  /** The query with a Placeholder in the place of each parameter. */
  compile(kysely: Kysely<Tables>): { readonly sql: string; readonly values: readonly unknown[] } {
    const parameters = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) }) as Parameters<P>
    const compiled = this.build(kysely, parameters).compile()
    return { sql: compiled.sql, values: compiled.parameters }
  }
}

/** `hot<{ name: string }>()((db, p) => db.selectFrom('tags').selectAll().where('name', '=', p.name))` */
export function hot<P extends object>(): <R>(
  build: (kysely: Kysely<Tables>, parameters: Parameters<P>) => Compilable<R>,
) => HotQuery<P, R> {
  return (build) => new HotQuery(build)
}

export type Engine = 'sqlite' | 'postgres'

export interface Executor {
  /** For the few queries that differ, each inside its own function. */
  readonly engine: Engine
  /** For queries that are built anew each time. */
  readonly kysely: Kysely<Tables>
  all<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R[]>
  first<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R | undefined>
  /** Runs a statement without a result; resolves to the number of rows it changed. */
  run<P extends object>(query: HotQuery<P, unknown>, parameters: P): Promise<number>
}

/** What a transaction offers; the brand keeps a Db from being passed where a transaction is needed. */
export interface Transaction extends Executor {
  readonly transaction: true
}

export interface TransactionOptions {
  /** False when the commit may be lost in a power failure (never in a crash of this process). Default true. */
  readonly durable?: boolean
  /**
   * True for what takes something away, or is needed for that: on a full disk it may use the reserve, and the work runs
   * once more. Default false: while the reserve is given up, the transaction is refused.
   */
  readonly mayUseReserve?: boolean
  /**
   * What nobody else who names the same may change meanwhile, where an engine lets several write at once (PostgreSQL: READ
   * COMMITTED, and a lock on each name in one order). Undefined: the transaction runs as if it were alone (SERIALIZABLE),
   * which costs more, and is started again when that cannot be. SQLite has one writer and needs neither.
   */
  readonly locks?: readonly LockName[] | undefined
}

export interface Db extends Executor {
  /**
   * Runs the work and commits when it resolves, rolls back when it rejects. Resolves once the commit is durable.
   * The work must await nothing but its own queries: others wait for it. It may run more than once, when another
   * transaction came in its way: it must leave nothing in memory that a run which was undone should not leave.
   * @throws OciError STORAGE_FULL
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  close(): Promise<void>
}
