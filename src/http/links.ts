// The addresses that replies carry: paths, or absolute URLs where the configuration or a trusted proxy says which.

import type { IncomingMessage } from 'node:http'
import { BlockList, isIPv6 } from 'node:net'
import type { Log } from '#telemetry/log.ts'

export interface LinkOptions {
  /** `http.host`: scheme and authority of every absolute URL, e.g. `https://registry.example.com`. */
  readonly host?: string | undefined
  /** `http.prefix`, with a slash at both ends: `/` or `/registry/`. */
  readonly prefix: string
  /** `http.relativeurls: false` was written: Location and Link are absolute. */
  readonly absolute: boolean
  /** Networks whose Forwarded and X-Forwarded-* headers count, as `address/bits`. */
  readonly trustedProxies: readonly string[]
}

export interface Origin {
  readonly scheme: 'http' | 'https'
  /** Host with port, as the client names us. */
  readonly host: string
}

export class Links {
  readonly #options: LinkOptions
  readonly #trusted = new BlockList()
  readonly #log: Log
  #warned = false

  constructor(options: LinkOptions, log: Log) {
    this.#options = options
    this.#log = log
    for (const network of options.trustedProxies) {
      const [address = '', bits] = network.split('/')
      const family = isIPv6(address) ? 'ipv6' : 'ipv4'
      this.#trusted.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
    }
  }

  get prefix(): string {
    return this.#options.prefix
  }

  /** A link to a path below /v2/, given without a leading slash. */
  v2(request: IncomingMessage, path: string): string {
    const local = `${this.#options.prefix}v2/${path}`
    const { host, absolute } = this.#options
    if (host) return host.replace(/\/$/, '') + local
    if (!absolute) return local
    const origin = this.origin(request)
    return `${origin.scheme}://${origin.host}${local}`
  }

  /** Where the client believes to be: what a trusted proxy says, else what the request says. */
  origin(request: IncomingMessage): Origin {
    const own: Origin = {
      scheme: 'encrypted' in request.socket && request.socket.encrypted ? 'https' : 'http',
      host: request.headers.host ?? header(request, ':authority') ?? 'localhost',
    }
    if (!hasForwarded(request)) return own
    if (!this.#isTrusted(request)) return own
    const forwarded = parseForwarded(header(request, 'forwarded'))
    const scheme = forwarded['proto'] ?? firstOf(header(request, 'x-forwarded-proto'))
    const host = forwarded['host'] ?? firstOf(header(request, 'x-forwarded-host'))
    return {
      scheme: scheme === 'https' || scheme === 'http' ? scheme : own.scheme,
      host: host && /^[a-z0-9.:[\]_-]{1,255}$/i.test(host) ? host : own.host,
    }
  }

  /** Scheme and authority of absolute URLs, without a slash at the end: `https://registry.example.com`. */
  base(request: IncomingMessage): string {
    const { host } = this.#options
    if (host) return host.replace(/\/+$/, '')
    const origin = this.origin(request)
    return `${origin.scheme}://${origin.host}`
  }

  /** Whether the client speaks to us by TLS, to a proxy before us at least. */
  isSecure(request: IncomingMessage): boolean {
    return this.base(request).startsWith('https:')
  }

  /** Address of the client: what a trusted proxy says, else the peer of the connection. */
  remote(request: IncomingMessage): string {
    const peer = request.socket.remoteAddress ?? ''
    if (!hasForwarded(request) || !this.#isTrusted(request)) return peer
    const forwarded = parseForwarded(header(request, 'forwarded'))['for']
    return (
      forwarded ??
      firstOf(header(request, 'x-forwarded-for')) ??
      firstOf(header(request, 'x-real-ip')) ??
      peer
    )
  }

  #isTrusted(request: IncomingMessage): boolean {
    const peer = request.socket.remoteAddress?.replace(/^::ffff:/, '')
    // A peer without an address is on our own unix socket.
    if (peer === undefined) return true
    if (this.#trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) return true
    if (!this.#warned) {
      this.#warned = true
      this.#log.warn('forwarded headers from a peer that is no trusted proxy are ignored', {
        peer,
        hint: `to trust it set http.trustedproxies: [${peer}] (REGISTRY_HTTP_TRUSTEDPROXIES)`,
      })
    }
    return false
  }
}

function hasForwarded({ headers }: IncomingMessage): boolean {
  return (
    headers['x-forwarded-for'] !== undefined ||
    headers['forwarded'] !== undefined ||
    headers['x-forwarded-proto'] !== undefined ||
    headers['x-forwarded-host'] !== undefined ||
    headers['x-real-ip'] !== undefined
  )
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}

function firstOf(list: string | undefined): string | undefined {
  const first = list?.split(',', 1)[0]?.trim()
  return first === '' ? undefined : first
}

/** The first element of a Forwarded header (RFC 7239); the proxy nearest to the client wrote it. */
function parseForwarded(text: string | undefined): Partial<Record<string, string>> {
  const pairs: Partial<Record<string, string>> = {}
  for (const pair of firstOf(text)?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (equals < 0) continue
    pairs[pair.slice(0, equals).trim().toLowerCase()] = pair
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1')
  }
  return pairs
}
