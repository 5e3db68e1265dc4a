// Connections: pools, TLS, proxies, and redirects followed by hand so that no credentials leave the host they are for.
import type { LookupFunction } from 'node:net'
import { rootCertificates } from 'node:tls'
import type { Dispatcher } from 'undici'
import { ClientError } from '#client/client-error.ts'
import { DirectExchanges } from '#client/direct-exchange.ts'
import {
  BodyFailure,
  type ExchangeLimits,
  exchange,
  headerOf,
  type OnHead,
  type WireReply,
  type WireRequest,
} from '#client/exchange.ts'
import { isLoopback } from '#client/loopback.ts'
import { type ProxyOptions, proxyFor } from '#client/proxy-choice.ts'

export interface TlsOptions {
  /** PEM texts, trusted besides the authorities that Node ships. */
  readonly authorities?: readonly string[] | undefined
  /** Shown to `host` alone, never to where that host redirects. */
  readonly clientCertificate?:
    | { readonly certificate: string; readonly key: string; readonly hostname: string }
    | undefined
  /** Takes any certificate. */
  readonly insecure?: boolean | undefined
}

export interface TransportOptions {
  readonly tls?: TlsOptions | undefined
  readonly proxy?: ProxyOptions | undefined
  /** Hosts (host[:port]) besides this machine that may be spoken to in plain HTTP. */
  readonly plainHttpHosts?: readonly string[] | undefined
  /** Replaces the resolver, so that a server can guard which addresses it lets itself be sent to. */
  readonly lookup?: LookupFunction | undefined
  /** Called with every URL before it is requested, redirects and token realms included; refuses by a throw. */
  readonly checkUrl?: ((url: URL) => void) | undefined
  readonly connectionsPerHostMax?: number | undefined
  readonly connectTimeoutMs?: number | undefined
  readonly stallTimeoutMs?: number | undefined
  readonly replyTimeoutMs?: number | undefined
  readonly userAgent?: string | undefined
}

export const CONNECTIONS_PER_HOST_MAX = 16
export const CONNECT_TIMEOUT_MS = 15_000
export const STALL_TIMEOUT_MS = 60_000
/** A registry on object storage may take minutes to put a large blob together. */
export const REPLY_TIMEOUT_MS = 300_000
export const REDIRECTS_MAX = 10

const KEEP_ALIVE_MS = 30_000
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Of a redirect's own body nothing is wanted. A body longer than this costs the connection. */
const DRAIN_BYTES_MAX = 64 * 1024

export class Transport {
  readonly #options: TransportOptions
  readonly #limits: ExchangeLimits
  readonly #agents = new Map<string, Promise<Dispatcher>>()
  readonly #direct: DirectExchanges

  constructor(options: TransportOptions = {}) {
    this.#options = options
    this.#limits = {
      stallTimeoutMs: options.stallTimeoutMs ?? STALL_TIMEOUT_MS,
      replyTimeoutMs: options.replyTimeoutMs ?? REPLY_TIMEOUT_MS,
    }
    this.#direct = new DirectExchanges({
      tlsFor: (url) => this.#tlsFor(url),
      lookup: options.lookup,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      limits: this.#limits,
      smallPerOriginMax: options.connectionsPerHostMax ?? CONNECTIONS_PER_HOST_MAX,
    })
  }

  /** True when plain HTTP may be spoken with this host. */
  allowsPlainHttp(url: URL): boolean {
    return isLoopback(url.hostname) || (this.#options.plainHttpHosts?.includes(url.host) ?? false)
  }

  /**
   * Sends a request and follows redirects. Authorization and Cookie go to the origin of the first URL alone; once a chain
   * has left that origin they are not sent again, also when it comes back.
   * @throws ClientError unreachable, timeout, tls or unsafe; BodyFailure; what onHead or its sink threw
   */
  async send(request: WireRequest, onHead: OnHead, signal?: AbortSignal): Promise<WireReply> {
    let current = request
    for (let hop = 0; ; hop++) {
      const reply = await this.#once(
        current,
        (head) => (redirectOf(current, head) ? drain() : onHead(head)),
        signal,
      )
      const target = redirectOf(current, reply)
      if (!target) return reply
      if (hop >= REDIRECTS_MAX) {
        throw new ClientError('unsafe', `was redirected more than ${REDIRECTS_MAX} times`, {
          request,
          hint: 'the registry redirects in circles: correct its address or its configuration',
        })
      }
      current = this.#redirected(current, target, reply.status)
    }
  }

  async close(): Promise<void> {
    const agents = [...this.#agents.values()]
    this.#agents.clear()
    this.#direct.close()
    await Promise.all(agents.map(async (agent) => await (await agent).destroy()))
  }

  #redirected(from: WireRequest, target: URL, status: number): WireRequest {
    if (target.protocol !== 'https:' && target.protocol !== 'http:') {
      throw new ClientError('unsafe', `redirects to ${target.protocol}, which is not followed`, {
        request: from,
      })
    }
    if (from.url.protocol === 'https:' && target.protocol === 'http:') {
      throw new ClientError('unsafe', `redirects from HTTPS to plain HTTP at ${target.host}`, {
        request: from,
      })
    }
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(from.headers)) {
      if (target.origin !== from.url.origin && (name === 'authorization' || name === 'cookie')) continue
      headers[name] = value
    }
    // RFC 9110, section 15.4: 307 and 308 keep method and body; the others become GET, which a write must not.
    if (status !== 307 && status !== 308 && from.method !== 'GET' && from.method !== 'HEAD') {
      throw new ClientError('refused', `answered ${status}, which would turn this request into another`, {
        request: from,
        status,
      })
    }
    return { ...from, url: target, headers }
  }

  async #once(request: WireRequest, onHead: OnHead, signal: AbortSignal | undefined): Promise<WireReply> {
    const { url } = request
    this.#options.checkUrl?.(url)
    const userAgent = this.#options.userAgent ?? 'stowage'
    const named = { ...request, headers: { 'user-agent': userAgent, ...request.headers } }
    // What onHead and its sink throw is theirs: only the other errors are of the network.
    let own: unknown
    const keep = (error: unknown): never => {
      own = error
      throw error
    }
    const guarded: OnHead = (reply) => {
      try {
        const sink = onHead(reply)
        return (chunk) => {
          try {
            return sink(chunk)?.catch(keep)
          } catch (error) {
            return keep(error)
          }
        }
      } catch (error) {
        return keep(error)
      }
    }
    try {
      const proxy = proxyFor(url, this.#options.proxy ?? {})
      const direct = proxy === undefined && this.#direct.suits(named)
      const reply = direct ? await this.#direct.send(named, guarded, signal) : undefined
      return reply ?? (await exchange(await this.#agentFor(url, proxy), named, this.#limits, guarded, signal))
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (error === own || error instanceof BodyFailure || error instanceof ClientError) throw error
      throw networkError(error, request)
    }
  }

  #agentFor(url: URL, proxy: string | undefined): Promise<Dispatcher> {
    // Agents differ in what they show and where they go: one for each host with a client certificate, and for each proxy.
    const key = `${proxy ?? ''} ${this.#hasCertificate(url)}`
    const known = this.#agents.get(key)
    if (known) return known
    const agent = this.#makeAgent(proxy, url)
    this.#agents.set(key, agent)
    return agent
  }

  #hasCertificate(url: URL): boolean {
    return this.#options.tls?.clientCertificate?.hostname === url.hostname
  }

  #tlsFor(url: URL) {
    const { tls = {} } = this.#options
    return {
      rejectUnauthorized: !tls.insecure,
      ...(tls.authorities ? { ca: [...rootCertificates, ...tls.authorities] } : {}),
      ...(tls.clientCertificate && this.#hasCertificate(url)
        ? { cert: tls.clientCertificate.certificate, key: tls.clientCertificate.key }
        : {}),
    }
  }

  async #makeAgent(proxy: string | undefined, url: URL): Promise<Dispatcher> {
    // Here and not above: most commands never need it, and it takes long to load.
    const { Agent, ProxyAgent } = await import('undici')
    const { lookup, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options
    const connect = { timeout: connectTimeoutMs, ...this.#tlsFor(url), ...(lookup ? { lookup } : {}) }
    const pool = {
      connections: this.#options.connectionsPerHostMax ?? CONNECTIONS_PER_HOST_MAX,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 64 * 1024,
    }
    if (proxy === undefined) return new Agent({ ...pool, connect })
    // A proxy for plain HTTP gets the whole URL, as every proxy knows it; HTTPS goes through a tunnel.
    return new ProxyAgent({ ...pool, uri: proxy, requestTls: connect, proxyTls: connect, proxyTunnel: false })
  }
}

function redirectOf(request: WireRequest, reply: WireReply): URL | undefined {
  if (!REDIRECT_STATUSES.has(reply.status)) return undefined
  const location = headerOf(reply, 'location')
  if (location === undefined) return undefined
  const target = URL.parse(location, request.url.href)
  if (target) return target
  throw new ClientError('refused', 'redirects to something that is not a URL', {
    request,
    status: reply.status,
  })
}

function drain(): ReturnType<OnHead> {
  let bytes = 0
  return (chunk) => {
    bytes += chunk.byteLength
    if (bytes > DRAIN_BYTES_MAX) throw new Error('the body of a redirect is too long')
    return undefined
  }
}

function networkError(error: unknown, request: WireRequest): ClientError {
  const cause = error instanceof Error ? error : new Error(String(error))
  const code = codeOf(cause)
  const { host } = request.url
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/.test(code)) {
    return new ClientError('tls', `no trusted TLS connection to ${host} (${code})`, { request, cause, code })
  }
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new ClientError('timeout', `could not connect to ${host} in time`, { request, cause, code })
  }
  const what = WORDS[code] ?? `the connection to ${host} broke`
  const retryable = code !== 'ENOTFOUND'
  return new ClientError('unreachable', `${what}${code ? ` (${code})` : ''}`, {
    request,
    cause,
    code,
    retryable,
  })
}

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the host name does not exist',
  EAI_AGAIN: 'the host name could not be looked up now',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
}

function codeOf(error: Error): string {
  const own = (error as NodeJS.ErrnoException).code
  if (own !== undefined && own !== 'UND_ERR_ABORTED') return own
  return error.cause instanceof Error ? codeOf(error.cause) : (own ?? '')
}
