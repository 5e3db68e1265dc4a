// A database whose first transaction also writes an entry of the audit log: a change and what tells of it are there together,
// or not at all.
import type { Db, HotQuery, Transaction, TransactionOptions } from '#db/db.ts'

export class AuditedDb implements Db {
  readonly #db: Db
  readonly #record: (tx: Transaction) => Promise<void>
  #isRecorded = false

  /** @param record may run more than once, as the work of any transaction */
  constructor(db: Db, record: (tx: Transaction) => Promise<void>) {
    this.#db = db
    this.#record = record
  }

  /** Whether there was a transaction, so that the entry is written. */
  get isRecorded(): boolean {
    return this.#isRecorded
  }

  get engine() {
    return this.#db.engine
  }

  get kysely() {
    return this.#db.kysely
  }

  all<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R[]> {
    return this.#db.all(query, parameters)
  }

  first<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R | undefined> {
    return this.#db.first(query, parameters)
  }

  run<P extends object>(query: HotQuery<P, unknown>, parameters: P): Promise<number> {
    return this.#db.run(query, parameters)
  }

  async transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    if (this.#isRecorded) return this.#db.transaction(work, options)
    const result = await this.#db.transaction(async (tx) => {
      const done = await work(tx)
      await this.#record(tx)
      return done
    }, options)
    this.#isRecorded = true
    return result
  }

  /** Never from here: it is lent. */
  async close(): Promise<void> {}
}
