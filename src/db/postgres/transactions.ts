// Transactions on connections of their own: begun together with their first statement, and run again when another came in
// the way.
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import type { Transaction, TransactionOptions } from '#db/db.ts'
import { lockStatements } from '#db/postgres/advisory-locks.ts'
import { PostgresTransaction } from '#db/postgres/executor.ts'
import {
  meansContended,
  meansLost,
  meansViolated,
  NoConnection,
  postgresFailure,
} from '#db/postgres/failure.ts'
import type { Statements } from '#db/postgres/statements.ts'
import { OciError } from '#oci/errors.ts'

/** The last ones come some seconds after the first: who is still in the way then is not passing by. */
const ATTEMPTS_MAX = 12
/** A key that is violated again and again is no accident. */
const VIOLATED_ATTEMPTS_MAX = 3
/** Beside connections that were idle when the server left, which do not count. */
const LOST_ATTEMPTS_MAX = 5
const PAUSE_FIRST_MS = 4
const PAUSE_LAST_MS = 800
/** Those who wait for a connection; who comes then is told to come back. */
const WAITING_MAX = 2_000
const IDLE_MS_MAX = 60_000
/** So that connections follow a name to its new address after a failover. */
const LIFE_SEC_MAX = 1_800

export interface TransactionsOptions {
  readonly client: pg.ClientConfig
  readonly connections: number
  readonly statements: Statements
  /** From 0 to 1. */
  readonly random: () => number
}

export class Transactions {
  readonly #pool: pg.Pool
  readonly #statements: Statements
  readonly #random: () => number
  readonly #byClient = new WeakMap<pg.PoolClient, PostgresTransaction>()
  /** Connections that have been taken before: one that was idle when the server left looks sound until it is used. */
  readonly #used = new WeakSet<pg.PoolClient>()

  constructor({ client, connections, statements, random }: TransactionsOptions) {
    this.#pool = new pg.Pool({
      ...client,
      max: connections,
      idleTimeoutMillis: IDLE_MS_MAX,
      maxLifetimeSeconds: LIFE_SEC_MAX,
    })
    // An idle connection that breaks is taken out of the pool; whoever needs one next hears of it then.
    this.#pool.on('error', () => {})
    // One that breaks while it is used tells the query, and this event besides.
    this.#pool.on('connect', (connected) => connected.on('error', () => {}))
    this.#statements = statements
    this.#random = random
  }

  /** A read by itself, on a connection that nobody else waits for. @throws what `pg` says */
  async query(query: pg.QueryConfig): Promise<pg.QueryResult> {
    for (let attempt = 1; ; attempt++) {
      const { client, isFresh } = await this.#take()
      try {
        const result = await client.query(query)
        client.release()
        return result
      } catch (error) {
        const isLost = meansLost(error)
        client.release(isLost)
        if (!isLost || attempt >= LOST_ATTEMPTS_MAX) throw error
        if (isFresh) await this.#pause(attempt)
        else attempt -= 1
      }
    }
  }

  /** @throws OciError UNAVAILABLE, STORAGE_FULL, or what the work throws */
  async run<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions): Promise<T> {
    const begin = beginStatement(options)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(work, begin)
      } catch (error) {
        const cause = error instanceof StaleConnection ? error.cause : error
        if (attempt >= attemptsMax(cause)) {
          throw postgresFailure(cause instanceof OutcomeUnknown ? cause.cause : cause)
        }
        if (cause === error) await this.#pause(attempt)
        else attempt -= 1
      }
    }
  }

  async #pause(attempt: number): Promise<void> {
    const pause = Math.min(PAUSE_FIRST_MS * 2 ** (attempt - 1), PAUSE_LAST_MS)
    await wait(pause * (0.5 + this.#random()))
  }

  async #attempt<T>(work: (transaction: Transaction) => Promise<T>, begin: string): Promise<T> {
    const { client, isFresh } = await this.#take()
    let isReusable = false
    try {
      // Not awaited: the first statement of the work goes out with it.
      const begun = client.query(begin).then(
        () => undefined,
        (error: unknown) => ({ error }),
      )
      const result = await work(this.#transactionOf(client)).catch(async (error) => {
        const failed = await begun
        isReusable = await undone(client)
        throw failed ? failed.error : error
      })
      const failed = await begun
      if (failed) {
        isReusable = await undone(client)
        throw failed.error
      }
      await commit(client)
      isReusable = true
      return result
    } catch (error) {
      // A commit that is refused has rolled back.
      if (meansContended(rootOf(error))) isReusable = true
      const isStale = !isFresh && !isReusable && !(error instanceof OutcomeUnknown)
      if (isStale && meansLost(rootOf(error)))
        throw new StaleConnection('an idle connection was dead', { cause: error })
      throw error
    } finally {
      client.release(!isReusable)
    }
  }

  async #take(): Promise<{ readonly client: pg.PoolClient; readonly isFresh: boolean }> {
    if (this.#pool.waitingCount >= WAITING_MAX) {
      throw new NoConnection('too many transactions wait for the database')
    }
    const client = await this.#pool.connect()
    const isFresh = !this.#used.has(client)
    this.#used.add(client)
    return { client, isFresh }
  }

  #transactionOf(client: pg.PoolClient): PostgresTransaction {
    let transaction = this.#byClient.get(client)
    if (!transaction) {
      transaction = new PostgresTransaction(this.#statements, (query) => client.query(query))
      this.#byClient.set(client, transaction)
    }
    return transaction
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

/** The connection went while it committed: perhaps it has, perhaps not. Whoever asked must ask again, and is not told 201. */
class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown'
}

/** There are no more of these than connections, and each is closed: whoever met one tries again at once, and that does not count. */
class StaleConnection extends Error {
  override readonly name = 'StaleConnection'
}

async function commit(client: pg.PoolClient): Promise<void> {
  let command: string
  try {
    command = (await client.query('commit')).command
  } catch (cause) {
    if (!meansLost(cause)) throw cause
    throw new OutcomeUnknown('the connection was lost during a commit', {
      cause: new OciError('UNAVAILABLE', {
        message: 'the database was lost while it committed, and nobody knows whether it did: try again',
        cause,
      }),
    })
  }
  // A transaction that failed says so, and not with an error.
  if (command !== 'COMMIT')
    throw new Error(`a transaction ended in ${command} where it should have committed`)
}

/** True when the connection can be used again. */
function undone(client: pg.PoolClient): Promise<boolean> {
  return client.query('rollback').then(
    () => true,
    () => false,
  )
}

/** One round trip for all of it: it is sent as one query of several statements. */
function beginStatement({ durable = true, locks }: TransactionOptions): string {
  const isolation = locks === undefined ? 'serializable' : 'read committed'
  const waits = durable ? '' : ';set local synchronous_commit = off'
  return `begin isolation level ${isolation}${waits}${lockStatements(locks ?? [])}`
}

/** How often in all a transaction that failed so is tried. */
function attemptsMax(error: unknown): number {
  const cause = rootOf(error)
  if (error instanceof OutcomeUnknown) return 1
  if (meansContended(cause)) return ATTEMPTS_MAX
  if (meansViolated(cause)) return VIOLATED_ATTEMPTS_MAX
  return meansLost(cause) ? LOST_ATTEMPTS_MAX : 1
}

/** What the engine said, where a query of the work put it into an OciError. */
function rootOf(error: unknown): unknown {
  return error instanceof OciError && error.cause !== undefined ? error.cause : error
}
