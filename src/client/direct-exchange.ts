// One exchange of many bytes over a connection of our own, with the watchdog, the back-pressure and the errors of
// exchange.ts.
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { ClientError } from '#client/client-error.ts'
import { DirectConnection } from '#client/direct-connection.ts'
import {
  BodyFailure,
  EnoughRead,
  type ExchangeLimits,
  type OnHead,
  type StreamBody,
  type WireReply,
  type WireRequest,
} from '#client/exchange.ts'
import { SlabPool } from '#client/slab.ts'
import type { ByteSink } from '#lib/byte-source.ts'

export interface DirectExchangeOptions {
  /** For a URL: a client certificate goes to one host alone. */
  readonly tlsFor: (url: URL) => ConnectionOptions
  readonly lookup?: LookupFunction | undefined
  readonly connectTimeoutMs: number
  readonly limits: ExchangeLimits
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

  constructor(options: DirectExchangeOptions) {
    this.#options = options
  }

  /**
   * Resolves with the reply when all of it was taken; with undefined when its form is not read here, and nothing of it was
   * passed on: then another must ask again. A request with a body cannot be asked again without a look at what became of
   * it, so then that is an error of the connection. The caller bounds how many run at once.
   * @throws as exchange does
   */
  async send(
    request: WireRequest,
    onHead: OnHead,
    signal: AbortSignal | undefined,
  ): Promise<WireReply | undefined> {
    signal?.throwIfAborted()
    // A body is sent over a new connection: a stale one would swallow the beginning of it.
    const idle = request.body === undefined ? this.#takeIdle(request.url.origin) : undefined
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
    if (!reply && request.body !== undefined) {
      throw Object.assign(new Error('the reply to an upload has a form that is not read'), {
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

function exchangeOver(
  connection: DirectConnection,
  request: WireRequest,
  limits: ExchangeLimits,
  onHead: OnHead,
  signal: AbortSignal | undefined,
): Promise<WireReply | undefined> {
  const body = request.body instanceof Uint8Array ? undefined : request.body
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
    const headers = body ? { ...request.headers, 'content-length': String(body.size) } : request.headers
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
