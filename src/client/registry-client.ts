// Speaks with one registry: finds its scheme, answers its challenges, retries, and turns refusals into errors.
import { Auth, untrustedRealm } from '#client/auth.ts'
import { ClientError } from '#client/client-error.ts'
import type { Credentials } from '#client/credentials.ts'
import {
  BodyFailure,
  EnoughRead,
  headerOf,
  type RequestBody,
  type WireReply,
  type WireRequest,
} from '#client/exchange.ts'
import { newPushHabits, type PushHabits } from '#client/push-habits.ts'
import { ERROR_BODY_BYTES_MAX, errorFromReply } from '#client/reply-error.ts'
import {
  parseRetryAfter,
  RETRY_DEFAULTS,
  Retries,
  type RetryOptions,
  systemWaiting,
  type Waiting,
} from '#client/retry.ts'
import { Transport, type TransportOptions } from '#client/transport.ts'
import type { ByteSink } from '#lib/byte-source.ts'
import { giveBack } from '#lib/slab.ts'

export interface RegistryClientOptions {
  /** `host[:port]`, as in a reference. */
  readonly host: string
  readonly credentials?: Credentials | undefined
  readonly transport?: TransportOptions | undefined
  /** Plain HTTP was asked for. Without this it is tried for this machine alone, after HTTPS. */
  readonly plainHttp?: boolean | undefined
  readonly trustedRealmHosts?: readonly string[] | undefined
  readonly retry?: Partial<RetryOptions> | undefined
  readonly waiting?: Waiting | undefined
}

export interface RegistryRequest {
  readonly method: string
  /** Below the origin, `/v2/…`; or a whole URL that the registry gave, e.g. of an upload. */
  readonly path: string | URL
  readonly scopes: readonly string[]
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: RequestBody | undefined
  /** The statuses that the caller handles. Any other is thrown as a ClientError. */
  readonly expect: readonly number[]
  /** Where the body of an expected reply goes; without it the body is collected, up to bodyBytesMax. May throw to refuse. */
  readonly onBody?: ((reply: WireReply) => ByteSink | undefined) | undefined
  readonly bodyBytesMax?: number | undefined
  /** Many bytes in one of the directions. */
  readonly bulk?: boolean | undefined
  /** False: the caller counts tries itself, because it goes on where the transfer broke. */
  readonly retry?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RegistryReply extends WireReply {
  /** Empty when onBody took it. */
  readonly body: Buffer
}

/** Docker Hub's name in references is not its address. */
const ADDRESSES: Record<string, string> = {
  'docker.io': 'registry-1.docker.io',
  'index.docker.io': 'registry-1.docker.io',
}
/** A 401 is answered twice: a kept token may have been withdrawn, and a fresh one may be too narrow. */
const ANSWERS_MAX = 2

export class RegistryClient {
  readonly host: string
  readonly retryOptions: RetryOptions
  readonly waiting: Waiting
  readonly pushHabits: PushHabits = newPushHabits()
  readonly #options: RegistryClientOptions
  readonly #transport: Transport
  #connection: Promise<{ readonly base: URL; readonly auth: Auth }> | undefined

  constructor(options: RegistryClientOptions) {
    this.host = options.host
    this.retryOptions = { ...RETRY_DEFAULTS, ...options.retry }
    this.waiting = options.waiting ?? systemWaiting
    this.#options = options
    const plainHttpHosts = [
      ...(options.transport?.plainHttpHosts ?? []),
      ...(options.plainHttp ? [options.host] : []),
    ]
    this.#transport = new Transport({ ...options.transport, plainHttpHosts })
  }

  /** @throws ClientError, BodyFailure, what onBody or its sink threw */
  async send(request: RegistryRequest): Promise<RegistryReply> {
    if (request.retry === false) return await this.#sendOnce(request)
    const retries = this.retries()
    for (;;) {
      try {
        return await this.#sendOnce(request)
      } catch (error) {
        await retries.after(error, request.signal)
      }
    }
  }

  /** Counts the tries of one transfer. */
  retries(): Retries {
    return new Retries(this.retryOptions, this.waiting)
  }

  /** Resolves when the registry answers and takes our credentials. @throws ClientError */
  async ping(signal?: AbortSignal): Promise<void> {
    await this.send({ method: 'GET', path: '/v2/', scopes: [], expect: [200], signal })
  }

  async close(): Promise<void> {
    await this.#transport.close()
  }

  async #sendOnce(request: RegistryRequest): Promise<RegistryReply> {
    const { base, auth } = await this.#connect()
    const url = typeof request.path === 'string' ? new URL(request.path, base) : request.path
    const ours = url.origin === base.origin
    // An upload may live on another host. That host gets no credentials of this registry.
    let authorization = ours ? await auth.header(request.scopes) : undefined
    for (let answers = 0; ; answers++) {
      const wire: WireRequest = {
        method: request.method,
        url,
        headers: { ...request.headers, ...(authorization ? { authorization } : {}) },
        body: request.body,
        bulk: request.bulk,
      }
      const { reply, body } = await this.#exchange(wire, request)
      if (reply.status === 401 && reply.url.origin === base.origin && ours && answers < ANSWERS_MAX) {
        const better = await auth.answer(headerOf(reply, 'www-authenticate'), request.scopes, authorization)
        if (better !== undefined && better !== authorization) {
          authorization = better
          continue
        }
      }
      if (request.expect.includes(reply.status)) return { ...reply, body }
      const error = errorFromReply(wire, reply, body, {
        secrets: auth.secrets(),
        retryAfterMs: parseRetryAfter(headerOf(reply, 'retry-after'), this.waiting.now()),
      })
      if (error.kind === 'unauthorized' && auth.withheld && auth.realm)
        throw untrustedRealm(base, auth.realm, error)
      throw error
    }
  }

  async #exchange(wire: WireRequest, request: RegistryRequest): Promise<{ reply: WireReply; body: Buffer }> {
    const chunks: Uint8Array[] = []
    const collecting = (bytesMax: number, onExcess: () => Error): ByteSink => {
      let bytes = 0
      return (chunk) => {
        bytes += chunk.byteLength
        if (bytes > bytesMax) throw onExcess()
        // A copy: the chunk is a part of something larger, that others wait for.
        chunks.push(Buffer.from(chunk))
        giveBack(chunk)
        return undefined
      }
    }
    const reply = await this.#transport.send(
      wire,
      (head) => {
        if (!request.expect.includes(head.status))
          return collecting(ERROR_BODY_BYTES_MAX, () => new EnoughRead())
        const sink = request.onBody?.(head)
        if (sink) return sink
        const bytesMax = request.bodyBytesMax ?? ERROR_BODY_BYTES_MAX
        const tooLarge = () =>
          new ClientError('limit', `the reply is larger than ${bytesMax} bytes`, {
            request: wire,
            status: head.status,
          })
        const length = headerOf(head, 'content-length')
        if (wire.method !== 'HEAD' && length !== undefined && Number(length) > bytesMax) throw tooLarge()
        return collecting(bytesMax, tooLarge)
      },
      request.signal,
    )
    return { reply, body: chunks.length === 1 ? asBuffer(chunks[0]) : Buffer.concat(chunks) }
  }

  /** Shared by all callers, so that the signal of none of them ends it for the others. */
  #connect(): Promise<{ base: URL; auth: Auth }> {
    this.#connection ??= this.#findScheme().then(
      (base) => ({ base, auth: this.#authFor(base) }),
      (error: unknown) => {
        this.#connection = undefined
        throw error
      },
    )
    return this.#connection
  }

  #authFor(base: URL): Auth {
    return new Auth({
      registry: base,
      credentials: this.#options.credentials,
      realmRule: {
        trustedRealmHosts: this.#options.trustedRealmHosts,
        allowsPlainHttp: (url) => this.#transport.allowsPlainHttp(url),
      },
      transport: this.#transport,
      retry: this.retryOptions,
      waiting: this.waiting,
    })
  }

  /** HTTPS, unless plain HTTP was asked for. On this machine itself HTTPS is tried, and given up when nobody speaks TLS. */
  async #findScheme(): Promise<URL> {
    const address = ADDRESSES[this.host] ?? this.host
    const https = URL.parse(`https://${address}`)
    const http = URL.parse(`http://${address}`)
    if (!https || !http || https.pathname !== '/' || https.username !== '') {
      throw new ClientError('invalid', `${this.host} is not a registry host`)
    }
    if (this.#options.plainHttp === true) return http
    if (this.#options.plainHttp === false || !this.#transport.allowsPlainHttp(https)) return https
    try {
      await this.#transport.send({ method: 'GET', url: new URL('/v2/', https), headers: {} }, drained)
      return https
    } catch (error) {
      if (error instanceof ClientError && speaksNoTls(error)) return http
      throw error
    }
  }
}

function drained(): ByteSink {
  return () => {
    throw new EnoughRead()
  }
}

function speaksNoTls(error: ClientError): boolean {
  if (error.kind === 'unreachable') return error.code === 'ECONNRESET' || error.code === 'UND_ERR_SOCKET'
  return /^(?:ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG|EPROTO|ERR_SSL_.*RECORD.*)$/.test(
    error.code ?? '',
  )
}

function asBuffer(chunk: Uint8Array | undefined): Buffer {
  return chunk ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.alloc(0)
}

/** What broke when a body could not be read: the source's own error. */
export function unwrapBodyFailure(error: unknown): unknown {
  return error instanceof BodyFailure ? error.cause : error
}
