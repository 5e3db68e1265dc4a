// Which proxy a URL goes through. The values are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY; config.ts reads them.
import { BlockList, isIP } from 'node:net'
import { isLoopback } from '#client/loopback.ts'

export interface ProxyOptions {
  /** For http:// URLs. */
  readonly http?: string | undefined
  /** For https:// URLs. */
  readonly https?: string | undefined
  /** Comma separated: host, .domain, *.domain, host:port, address, address/bits, or * for all. */
  readonly noProxy?: string | undefined
}

/** The proxy for a URL; undefined for a direct connection. This machine itself is always reached directly. */
export function proxyFor(url: URL, options: ProxyOptions): string | undefined {
  const proxy = url.protocol === 'https:' ? options.https : options.http
  if (!proxy || isLoopback(url.hostname) || isExempt(url, options.noProxy ?? '')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  for (const entry of noProxy.split(/[\s,]+/)) {
    if (entry === '') continue
    if (entry === '*') return true
    if (isIP(host) !== 0 && matchesAddress(host, entry)) return true
    const [, name = '', wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? []
    if (wantedPort !== undefined && wantedPort !== port) continue
    const domain = name.replace(/^\*?\./, '')
    if (domain !== '' && (host === domain || host.endsWith(`.${domain}`))) return true
  }
  return false
}

function matchesAddress(host: string, entry: string): boolean {
  const [address = '', bits] = entry.replace(/^\[|\]$/g, '').split('/')
  const family = isIP(address)
  if (family === 0) return false
  const type = family === 6 ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  if (bits === undefined) list.addAddress(address, type)
  else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32)) {
    list.addSubnet(address, Number(bits), type)
  } else return false
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}
