// One exchange over a connection of our own, with the watchdog, the back-pressure and the errors of exchange.ts.
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { Budget } from '#client/budget.ts'
import { ClientError } from '#client/client-error.ts'
import {
  BodyFailure,
  EnoughRead,
  type ExchangeLimits,
  type OnHead,
  type StreamBody,
  type WireReply,
  type WireRequest,
} from '#client/exchange.ts'
import type { ByteSink } from '#lib/byte-source.ts'
import { DirectConnection } from '#lib/direct-connection.ts'
import { SlabPool } from '#lib/slab.ts'

export interface DirectExchangeOptions {
  /** For a URL: a client certificate goes to one host alone. */
  readonly tlsFor: (url: URL) => ConnectionOptions
  readonly lookup?: LookupFunction | undefined
  readonly connectTimeoutMs: number
  readonly limits: ExchangeLimits
  /** Of small requests, that is of those that are not bulk and send no stream: the caller bounds how many those are. */
  readonly smallPerOriginMax: number
}

/** Servers close what is idle for 5 seconds and more; what is older is not trusted to be open. */
const IDLE_MS_MAX = 4_000
const IDLE_PER_ORIGIN_MAX = 16

interface Idle {
  readonly connection: DirectConnection
  readonly since: number
}

export class DirectExchanges {
  readonly #options: DirectExchangeOptions
  readonly #idle = new Map<string, Idle[]>()
  readonly #slabs = new SlabPool()
  readonly #small = new Map<string, Budget>()
  /** Whether the last reply of an origin could be read. */
  readonly #readable = new Map<string, boolean>()

  constructor(options: DirectExchangeOptions) {
    this.#options = options
  }

  /**
   * Whether a request that another could send as well is better sent here. A write is, when the origin is known to answer
   * in a form that is read: what became of a write whose reply is not understood, nobody knows.
   */
  suits(request: WireRequest): boolean {
    const readable = this.#readable.get(request.url.origin)
    if (request.bulk) return !isWrite(request) || readable !== false
    return isWrite(request) ? readable === true : readable !== false
  }

  /**
   * Resolves with the reply when all of it was taken; with undefined when its form is not read here, and nothing of it was
   * passed on: then another must ask again. A write cannot be sent again without a look at what became of it, so then that is an error of the connection.
   * @throws as exchange does
   */
  async send(
    request: WireRequest,
    onHead: OnHead,
    signal: AbortSignal | undefined,
  ): Promise<WireReply | undefined> {
    if (request.bulk || isStream(request.body)) return await this.#send(request, onHead, signal)
    const { origin } = request.url
    const limits = { transfersMax: this.#options.smallPerOriginMax, bytesInFlightMax: 0 }
    const budget = this.#small.get(origin) ?? new Budget(limits)
    this.#small.set(origin, budget)
    return await budget.run(0, signal, () => this.#send(request, onHead, signal))
  }

  async #send(
    request: WireRequest,
    onHead: OnHead,
    signal: AbortSignal | undefined,
  ): Promise<WireReply | undefined> {
    signal?.throwIfAborted()
    // A stream is sent over a new connection: a stale one would swallow the beginning of it.
    const idle = isStream(request.body) ? undefined : this.#takeIdle(request.url.origin)
    if (idle) {
      try {
        return await this.#use(idle, request, onHead, signal)
      } catch (error) {
        // Closed by the server while it was idle: nobody has seen the request.
        if (idle.answered || signal?.aborted || error instanceof ClientError) throw error
      }
    }
    return await this.#use(this.#connect(request.url), request, onHead, signal)
  }

  close(): void {
    for (const { connection } of [...this.#idle.values()].flat()) connection.destroy()
    this.#idle.clear()
  }

  #connect(url: URL): DirectConnection {
    const { tlsFor, lookup, connectTimeoutMs } = this.#options
    return new DirectConnection({ url, tls: tlsFor(url), lookup, connectTimeoutMs, slabs: this.#slabs })
  }

  async #use(
    connection: DirectConnection,
    request: WireRequest,
    onHead: OnHead,
    signal: AbortSignal | undefined,
  ): Promise<WireReply | undefined> {
    const reply = await exchangeOver(connection, request, this.#options.limits, onHead, signal)
    if (connection.reusable) this.#keep(request.url.origin, connection)
    this.#readable.set(request.url.origin, reply !== undefined)
    if (!reply && isWrite(request)) {
      throw Object.assign(new Error('the reply to a write has a form that is not read'), {
        code: 'UNREADABLE_REPLY',
      })
    }
    return reply
  }

  #takeIdle(origin: string): DirectConnection | undefined {
    const list = this.#idle.get(origin) ?? []
    for (let last = list.pop(); last; last = list.pop()) {
      if (performance.now() - last.since < IDLE_MS_MAX && last.connection.reusable) return last.connection
      last.connection.destroy()
    }
    return undefined
  }

  #keep(origin: string, connection: DirectConnection): void {
    const list = this.#idle.get(origin) ?? []
    this.#idle.set(origin, list)
    if (list.length >= IDLE_PER_ORIGIN_MAX) list.shift()?.connection.destroy()
    connection.rest()
    list.push({ connection, since: performance.now() })
  }
}

function isStream(body: WireRequest['body']): body is StreamBody {
  return body !== undefined && !(body instanceof Uint8Array)
}

function isWrite({ method }: WireRequest): boolean {
  return method !== 'GET' && method !== 'HEAD'
}

/** What says how long the body is. A POST, PUT or PATCH without one says so too: several registries insist on it. */
function lengthOf({ method, body }: WireRequest): Record<string, string> {
  if (body !== undefined) return { 'content-length': String(isStream(body) ? body.size : body.byteLength) }
  return /^P/.test(method) ? { 'content-length': '0' } : {}
}

function exchangeOver(
  connection: DirectConnection,
  request: WireRequest,
  limits: ExchangeLimits,
  onHead: OnHead,
  signal: AbortSignal | undefined,
): Promise<WireReply | undefined> {
  const body = isStream(request.body) ? request.body : undefined
  return new Promise((resolve, reject) => {
    let reply: WireReply | undefined
    let sink: ByteSink | undefined
    let pending: Promise<void> | undefined
    let watchdog: NodeJS.Timeout | undefined
    let sending = body !== undefined
    let done = false
    const onAbort = () => fail(signal?.reason)
    const watch = (ms: number) => {
      clearTimeout(watchdog)
      if (done) return
      watchdog = setTimeout(() => {
        const what = reply ? 'sent nothing more' : sending ? 'took nothing more' : 'did not answer'
        fail(new ClientError('timeout', `${request.url.host} ${what} for ${ms} ms`, { request }))
      }, ms)
    }
    const finish = async (settle: () => void) => {
      if (done) return
      done = true
      clearTimeout(watchdog)
      signal?.removeEventListener('abort', onAbort)
      // An answer before the end of the body: the rest of it is not wanted.
      if (sending) connection.destroy()
      // Whoever called may close a file now, so no write of ours may still be under way.
      await pending?.catch(() => {})
      settle()
    }
    const fail = (error: unknown) => {
      connection.destroy()
      void finish(() => (error instanceof EnoughRead && reply ? resolve(reply) : reject(error)))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    watch(body ? limits.stallTimeoutMs : limits.replyTimeoutMs)
    const headers = { ...request.headers, ...lengthOf(request) }
    connection.request(request.method, request.url, headers, {
      head: (head) => {
        watch(limits.stallTimeoutMs)
        reply = { ...head, url: request.url }
        try {
          sink = onHead(reply)
        } catch (error) {
          fail(error)
        }
      },
      data: (chunk) => {
        watchdog?.refresh()
        let waiting: Promise<void> | undefined
        try {
          waiting = sink?.(chunk)
        } catch (error) {
          fail(error)
          return false
        }
        if (!waiting) return true
        // Our own slowness is no stall of the other side.
        clearTimeout(watchdog)
        pending = waiting.then(
          () => {
            pending = undefined
            watch(limits.stallTimeoutMs)
            connection.resume()
          },
          (error: unknown) => {
            pending = undefined
            fail(error)
          },
        )
        return false
      },
      ended: () => void finish(() => resolve(reply)),
      unreadable: () => void finish(() => resolve(undefined)),
      failed: (error) => void finish(() => reject(error)),
    })
    if (request.body instanceof Uint8Array && request.body.byteLength > 0) {
      void connection.write(request.body, () => {})
    }
    if (!body) return
    const progress = () => {
      if (sending) watchdog?.refresh()
    }
    sendBody(connection, body, progress, () => done).then(
      () => {
        sending = false
        if (!done && !reply) watch(limits.replyTimeoutMs)
      },
      (error: unknown) => {
        if (!done) fail(new BodyFailure(error))
      },
    )
  })
}

async function sendBody(
  connection: DirectConnection,
  body: StreamBody,
  onSent: () => void,
  isOver: () => boolean,
): Promise<void> {
  let left = body.size
  await body.open()((chunk) => {
    if (isOver()) throw new Error('the request ended before its body')
    left -= chunk.byteLength
    if (left < 0) throw new Error('the body is longer than it was said to be')
    return connection.write(chunk, onSent)
  })
  if (left > 0) throw new Error('the body is shorter than it was said to be')
}
