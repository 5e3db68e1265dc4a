// A connection for many at once: short reads are sent one behind another without waiting, and share their packets.
import pg from 'pg'
import { meansLost, NoConnection } from '#db/postgres/failure.ts'

/** Reads in flight on one connection; above that, who comes is told to come back. */
const IN_FLIGHT_MAX = 5_000

export class SharedConnection {
  readonly #options: pg.ClientConfig
  #client: pg.Client | undefined
  #connecting: Promise<pg.Client> | undefined
  #inFlight = 0
  #closed = false

  constructor(options: pg.ClientConfig) {
    this.#options = options
  }

  /** A read that is cut off is sent once more on a new connection. @throws what `pg` says */
  async query(query: pg.QueryConfig): Promise<pg.QueryResult> {
    if (this.#inFlight >= IN_FLIGHT_MAX) throw new NoConnection('too many reads wait for the database')
    this.#inFlight += 1
    let client = this.#client
    try {
      client ??= await this.#connect()
      return await client.query(query)
    } catch (error) {
      if (!meansLost(error) || this.#closed) throw error
      // Its own event may come later than the failure of the query.
      if (this.#client === client) this.#client = undefined
      return await (await this.#connect()).query(query)
    } finally {
      this.#inFlight -= 1
    }
  }

  /** Everybody waits for the same attempt. */
  #connect(): Promise<pg.Client> {
    if (this.#client) return Promise.resolve(this.#client)
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #open(): Promise<pg.Client> {
    if (this.#closed) throw new NoConnection('the database is closed')
    const client = new pg.Client(this.#options)
    const forget = () => {
      if (this.#client === client) this.#client = undefined
    }
    client.on('error', forget)
    client.on('end', forget)
    await client.connect()
    this.#client = client
    return client
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#connecting?.catch(() => {})
    await this.#client?.end()
  }
}
