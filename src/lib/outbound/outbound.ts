// The one way to fetch from an address that a user can give: guarded, with limits of time and bytes, redirects looked at
// one by one. No proxy: it would look the name up for itself, where we cannot see what it finds.
import type { IncomingHttpHeaders } from 'node:http'
import { getCACertificates } from 'node:tls'
import { Agent, buildConnector, errors, request } from 'undici'
import { guardedConnector, guardedLookup, type Resolver, systemResolver } from './guarded-connector.ts'
import { OutboundError } from './outbound-error.ts'
import { OutboundRules } from './outbound-rules.ts'

const CONNECT_MS = 5_000
const CONNECTIONS_PER_ORIGIN_MAX = 8
const ORIGINS_MAX = 256
const HEADER_BYTES_MAX = 32 * 1024
const KEEP_ALIVE_MS = 10_000
/** Only these leave the origin that they were meant for; all others could be secrets. */
const HARMLESS_HEADERS = new Set(['accept', 'accept-language', 'user-agent', 'content-type'])

export interface OutboundOptions {
  /** Hosts and ranges that may be reached although they are not public; see isAllowEntry. */
  readonly allow: readonly string[]
  /** Certificates of further authorities, PEM. */
  readonly ca?: readonly string[]
  readonly resolver?: Resolver
}

export type Plain = 'never' | 'listed' | 'always'

export interface OutboundRequest {
  readonly url: string | URL
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Whether `http:` will do too: never by default, or for what the operator listed alone. */
  readonly plain?: Plain
  /** Of the body of the reply; a longer one fails, unless its end may be left out. */
  readonly bytesMax: number
  readonly mayBeCut?: boolean
  /** From the call to the last byte, redirects included. */
  readonly timeoutMs: number
  /** Redirects that are followed, of GET alone; the one after that fails. By default 3xx is a reply like others. */
  readonly redirectsMax?: number
  readonly signal?: AbortSignal | undefined
}

export interface OutboundReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Where it came from at last. */
  readonly url: string
}

export class Outbound {
  readonly rules: OutboundRules
  readonly #agent: Agent

  /** @throws Error that names what of the allow list cannot be read */
  constructor({ allow, ca = [], resolver = systemResolver }: OutboundOptions) {
    this.rules = new OutboundRules(allow)
    const connect = buildConnector({
      lookup: guardedLookup(this.rules, resolver),
      timeout: CONNECT_MS,
      ...(ca.length > 0 && { ca: [...getCACertificates('default'), ...ca] }),
    })
    this.#agent = new Agent({
      connect: guardedConnector(this.rules, connect),
      connections: CONNECTIONS_PER_ORIGIN_MAX,
      maxOrigins: ORIGINS_MAX,
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      pipelining: 1,
    })
  }

  /** @throws OutboundError, or the reason of the signal; any status is a reply */
  async send(sent: OutboundRequest): Promise<OutboundReply> {
    const { method = 'GET', redirectsMax = 0 } = sent
    const timeout = AbortSignal.timeout(sent.timeoutMs)
    const signal = sent.signal ? AbortSignal.any([sent.signal, timeout]) : timeout
    let url = this.checkUrl(sent.url, sent.plain)
    let headers = sent.headers ?? {}
    for (let redirects = 0; ; redirects++) {
      const reply = await this.#once(url, { ...sent, method, headers, signal }, timeout)
      const { location } = reply.headers
      const isRedirect = [301, 302, 303, 307, 308].includes(reply.status) && typeof location === 'string'
      if (!isRedirect || redirectsMax === 0 || method !== 'GET') return reply
      if (redirects === redirectsMax)
        throw new OutboundError('too-many-redirects', url.host, 'redirects too often')
      const next = this.checkUrl(absolute(location, url), url.protocol === 'http:' ? sent.plain : 'never')
      if (next.origin !== url.origin) headers = harmless(headers)
      url = next
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  /** What can be said without asking a resolver: to refuse an address when it is given. @throws OutboundError refused */
  checkUrl(text: string | URL, plain: Plain = 'never'): URL {
    const url = URL.canParse(String(text)) ? new URL(text) : undefined
    if (!url) throw new OutboundError('refused', 'the address', 'is not a URL')
    const isPlain = plain === 'always' || (plain === 'listed' && this.rules.isListed(url.hostname))
    if (url.protocol !== 'https:' && !(isPlain && url.protocol === 'http:'))
      throw new OutboundError('refused', url.host, `must be reached by https${isPlain ? ' or http' : ''}`)
    if (url.username !== '' || url.password !== '')
      throw new OutboundError('refused', url.host, 'must not come with a password in its URL')
    this.rules.checkHost(url.hostname)
    return url
  }

  async #once(
    url: URL,
    { method, headers, body, bytesMax, mayBeCut = false, signal }: OutboundRequest,
    timeout: AbortSignal,
  ): Promise<OutboundReply> {
    try {
      const reply = await request(url, {
        dispatcher: this.#agent,
        method: method ?? 'GET',
        headers: { ...headers },
        body: body ?? null,
        signal: signal ?? null,
      })
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of reply.body) {
        bytes += chunk.length
        if (bytes > bytesMax) {
          reply.body.on('error', () => {}).destroy()
          if (mayBeCut) break
          throw new OutboundError('too-large', url.host, `answers with more than ${bytesMax} bytes`)
        }
        chunks.push(chunk)
      }
      const { statusCode: status, headers: replyHeaders } = reply
      return { status, headers: replyHeaders, body: Buffer.concat(chunks), url: url.href }
    } catch (error) {
      if (signal?.aborted && !timeout.aborted) throw error
      throw asOutboundError(error, url, timeout)
    }
  }
}

function asOutboundError(error: unknown, url: URL, timeout: AbortSignal): OutboundError {
  if (error instanceof OutboundError) return error
  if (timeout.aborted || error instanceof errors.ConnectTimeoutError)
    return new OutboundError('timeout', url.host, 'does not answer in time', undefined, error)
  return new OutboundError('unreachable', url.host, 'cannot be reached', String(error), error)
}

function absolute(location: string, base: URL): string {
  return URL.canParse(location, base.href) ? new URL(location, base).href : location
}

function harmless(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => HARMLESS_HEADERS.has(name.toLowerCase())),
  )
}
