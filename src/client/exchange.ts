// One request and one reply over an undici dispatcher, with back-pressure both ways, and a watchdog that cuts a stalled
// transfer but not a slow one. No retries, no redirects, no credentials: those stand above.
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { asError, readableOf } from '#client/body-stream.ts'
import { ClientError } from '#client/client-error.ts'
import type { ByteSink, ByteSource } from '#lib/byte-source.ts'

export interface StreamBody {
  /** Bytes, sent as Content-Length. */
  readonly size: number
  /** Opens the body. Called again when the request is sent again. */
  open(): ByteSource
}

export type RequestBody = Uint8Array | StreamBody

export interface WireRequest {
  readonly method: string
  readonly url: URL
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: RequestBody | undefined
  /** A GET or a stream of many bytes, worth a connection of its own: see direct-exchange.ts. */
  readonly bulk?: boolean | undefined
}

export interface WireReply {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Where the reply came from, after redirects. */
  readonly url: URL
}

/** Chooses by the head what becomes of the body. A throw ends the exchange with that error. */
export type OnHead = (reply: WireReply) => ByteSink

export interface ExchangeLimits {
  /** Without a single byte in or out for so long, the transfer is cut. */
  readonly stallTimeoutMs: number
  /** From the last byte of the request to the head of the reply. */
  readonly replyTimeoutMs: number
}

/** A sink throws this to have enough: the exchange ends well, and the connection is given up. */
export class EnoughRead extends Error {
  override readonly name = 'EnoughRead'
}

/** The body of the request could not be read. That is not the fault of the host it was sent to, so it is not retried there. */
export class BodyFailure extends Error {
  override readonly name = 'BodyFailure'
  constructor(cause: unknown) {
    super('the body of the request could not be read', { cause })
  }
}

export function headerOf(reply: Pick<WireReply, 'headers'>, name: string): string | undefined {
  const value = reply.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/**
 * Sends a request and feeds the body of the reply to the sink that onHead chooses. Resolves when all of it was taken.
 * @throws the error of onHead or of the sink, BodyFailure, ClientError timeout, the error of the network as it came, or
 *   the reason of the signal
 */
export function exchange(
  dispatcher: Dispatcher,
  request: WireRequest,
  limits: ExchangeLimits,
  onHead: OnHead,
  signal: AbortSignal | undefined,
): Promise<WireReply> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const running = new Exchange(request, limits, onHead, signal, resolve, reject)
    dispatcher.dispatch(
      {
        origin: request.url.origin,
        path: request.url.pathname + request.url.search,
        method: request.method as Dispatcher.HttpMethod,
        headers: running.headers,
        body: running.body,
        // The watchdog here knows both directions, and does not count the time that our own sink takes.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      running,
    )
  })
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly headers: Record<string, string>
  readonly body: Readable | Buffer | null
  readonly #request: WireRequest
  readonly #limits: ExchangeLimits
  readonly #onHead: OnHead
  readonly #signal: AbortSignal | undefined
  readonly #resolve: (reply: WireReply) => void
  readonly #reject: (error: unknown) => void
  readonly #onAbort = () => this.#fail(this.#signal?.reason)
  #controller: Dispatcher.DispatchController | undefined
  #watchdog: NodeJS.Timeout | undefined
  #reply: WireReply | undefined
  #sink: ByteSink | undefined
  #pending: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #done = false

  constructor(
    request: WireRequest,
    limits: ExchangeLimits,
    onHead: OnHead,
    signal: AbortSignal | undefined,
    resolve: (reply: WireReply) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request
    this.#limits = limits
    this.#onHead = onHead
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
    this.headers = { ...request.headers }
    this.body = this.#bodyOf(request)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#failure) {
      controller.abort(asError(this.#failure.error))
      return
    }
    // The time spent waiting for a free connection does not count: others make progress meanwhile.
    this.#watch(this.body instanceof Readable ? this.#limits.stallTimeoutMs : this.#limits.replyTimeoutMs)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: WireReply['headers'],
  ): void {
    if (status < 200) return
    this.#watch(this.#limits.stallTimeoutMs)
    this.#reply = { status, headers, url: this.#request.url }
    try {
      this.#sink = this.#onHead(this.#reply)
    } catch (error) {
      this.#failure ??= { error }
      controller.abort(asError(error))
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#watchdog?.refresh()
    let waiting: Promise<void> | undefined
    try {
      waiting = this.#sink?.(chunk)
    } catch (error) {
      this.#failure ??= { error }
      controller.abort(asError(error))
      return
    }
    if (waiting === undefined) return
    // Our own slowness is no stall of the other side.
    clearTimeout(this.#watchdog)
    controller.pause()
    this.#pending = waiting.then(
      () => {
        this.#pending = undefined
        if (this.#done) return
        this.#watch(this.#limits.stallTimeoutMs)
        controller.resume()
      },
      (error: unknown) => {
        this.#pending = undefined
        this.#failure ??= { error }
        if (!this.#done) controller.abort(asError(error))
      },
    )
  }

  onResponseEnd(): void {
    void this.#finish(undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    void this.#finish({ error })
  }

  #bodyOf(request: WireRequest): Readable | Buffer | null {
    const { body } = request
    if (body === undefined) {
      // A POST, PUT or PATCH without a body says so: several registries insist on it.
      if (/^P/.test(request.method)) this.headers['content-length'] = '0'
      return null
    }
    if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    this.headers['content-length'] = String(body.size)
    return readableOf(
      body.open(),
      () => this.#watchdog?.refresh(),
      () => this.#bodySent(),
      (error) => {
        this.#failure ??= { error: new BodyFailure(error) }
      },
    )
  }

  #bodySent(): void {
    if (!this.#reply && !this.#done) this.#watch(this.#limits.replyTimeoutMs)
  }

  #watch(ms: number): void {
    clearTimeout(this.#watchdog)
    this.#watchdog = setTimeout(() => {
      const what = this.#reply
        ? 'sent nothing more'
        : this.#sending()
          ? 'took nothing more'
          : 'did not answer'
      this.#fail(
        new ClientError('timeout', `${this.#request.url.host} ${what} for ${ms} ms`, {
          request: this.#request,
        }),
      )
    }, ms)
  }

  #sending(): boolean {
    return this.body instanceof Readable && !this.body.readableEnded
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    if (this.#controller) this.#controller.abort(asError(error))
    else void this.#finish(this.#failure)
  }

  async #finish(failure: { readonly error: unknown } | undefined): Promise<void> {
    if (this.#done) return
    this.#done = true
    clearTimeout(this.#watchdog)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    if (this.body instanceof Readable) this.body.destroy()
    // Whoever called may close a file now, so no write of ours may still be under way.
    await this.#pending
    const broken = this.#failure ?? failure
    if (this.#reply && (!broken || broken.error instanceof EnoughRead)) this.#resolve(this.#reply)
    else this.#reject(broken?.error ?? new Error('the exchange ended without a reply'))
  }
}
