// Signals between processes by LISTEN and NOTIFY, on a connection of their own that comes back by itself.
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { SHARE_PRESENCE } from '#db/postgres/advisory-locks.ts'
import { SIGNAL_BYTES_MAX, type Signals, Subscriptions } from '#db/signals.ts'

const CHANNEL = 'stowage'
/** Signals that come together leave together, each once: a notification costs the server a commit. */
const GATHER_MS = 10
const WAITING_MAX = 1_000
/** A connection that died without a word is found out by asking. */
const PING_MS = 15_000
const PING_ANSWER_MS_MAX = 10_000
const PAUSE_FIRST_MS = 100
const PAUSE_LAST_MS = 5_000

export class PostgresSignals implements Signals {
  readonly #options: pg.ClientConfig
  readonly #onWarning: (message: string, fields: Readonly<Record<string, unknown>>) => void
  readonly #subscriptions = new Subscriptions()
  /** Tells our own signals, which were delivered here already, from those of others. */
  readonly #ownName = randomUUID().slice(0, 8)
  readonly #closing = new AbortController()
  readonly #tried = Promise.withResolvers<void>()
  readonly #running: Promise<void>
  #waiting = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #client: pg.Client | undefined

  constructor(
    options: pg.ClientConfig,
    onWarning: (message: string, fields: Readonly<Record<string, unknown>>) => void,
  ) {
    this.#options = { ...options, query_timeout: PING_ANSWER_MS_MAX }
    this.#onWarning = onWarning
    this.#running = this.#run()
  }

  /** Resolves when it listens, or when the first attempt has failed and others follow. */
  get tried(): Promise<void> {
    return this.#tried.promise
  }

  publish(topic: string, text = ''): void {
    setImmediate(() => this.#subscriptions.deliver(topic, text))
    const payload = `${this.#ownName}\n${topic}\n${text}`
    if (this.#waiting.size >= WAITING_MAX || Buffer.byteLength(payload) > SIGNAL_BYTES_MAX) return
    this.#waiting.add(payload)
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS).unref()
  }

  subscribe(topic: string, handler: (text: string) => void): () => void {
    return this.#subscriptions.add(topic, handler)
  }

  #flush(): void {
    this.#timer = undefined
    const payloads = [...this.#waiting]
    this.#waiting.clear()
    // What is lost with the connection is made up for when it is back: then everybody looks.
    this.#client
      ?.query({
        name: 'notify',
        text: 'select pg_notify($1, payload) from unnest($2::text[]) as payload',
        values: [CHANNEL, payloads],
      })
      .catch(() => {})
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    for (let pause = PAUSE_FIRST_MS, losses = 0; !signal.aborted; ) {
      try {
        await this.#listen(() => {
          if (losses > 0) {
            this.#onWarning('signals between processes are back', {})
            this.#subscriptions.deliverToAll()
          }
          pause = PAUSE_FIRST_MS
          this.#tried.resolve()
        })
      } catch (error) {
        this.#tried.resolve()
        if (signal.aborted) return
        losses += 1
        this.#onWarning('signals between processes are lost, and looked for by polling meanwhile', {
          error: String(error),
        })
      }
      await wait(pause, undefined, { signal, ref: false }).catch(() => {})
      pause = Math.min(pause * 2, PAUSE_LAST_MS)
    }
  }

  /** Listens until the connection is lost. */
  async #listen(onListening: () => void): Promise<never> {
    const client = new pg.Client(this.#options)
    const ended = Promise.withResolvers<never>()
    ended.promise.catch(() => {})
    client.on('error', (error) => ended.reject(error))
    client.on('end', () => ended.reject(new Error('the connection ended')))
    client.on('notification', ({ payload = '' }) => this.#receive(payload))
    let ping: NodeJS.Timeout | undefined
    try {
      await client.connect()
      await client.query(`listen ${CHANNEL}`)
      // This connection stands for the process: a copy of the database waits for none that is there.
      await client.query(SHARE_PRESENCE)
      if (this.#closing.signal.aborted) throw new Error('closed meanwhile')
      this.#client = client
      ping = setInterval(() => client.query('select 1').catch(ended.reject), PING_MS).unref()
      onListening()
      return await ended.promise
    } finally {
      clearInterval(ping)
      this.#client = undefined
      await client.end().catch(() => {})
    }
  }

  #receive(payload: string): void {
    const [from = '', topic = ''] = payload.split('\n', 2)
    if (from === this.#ownName) return
    this.#subscriptions.deliver(topic, payload.slice(from.length + topic.length + 2))
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#closing.abort()
    await this.#client?.end().catch(() => {})
    await this.#running
    this.#subscriptions.clear()
  }
}
