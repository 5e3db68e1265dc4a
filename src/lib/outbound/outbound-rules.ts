// Which addresses may be reached for somebody else, and what the operator allows beyond public ones.
import { BlockList, isIP } from 'node:net'
import { parseNetworkRange } from '../network-range.ts'
import { seeAddress } from './address-kinds.ts'
import { OutboundError } from './outbound-error.ts'

/** What the allow list may hold: `10.1.0.0/16`, `192.0.2.7`, `gitlab.internal`, `*.internal`. */
export function isAllowEntry(text: string): boolean {
  return parseNetworkRange(text) !== undefined || HOST.test(text)
}

/** A top-level name of digits alone would be an IPv4 address in another writing. */
const HOST =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?=[a-z0-9-]*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

export class OutboundRules {
  readonly #ranges = new BlockList()
  readonly #hosts = new Set<string>()
  readonly #suffixes: string[] = []

  /** @throws Error that names the entry which is none */
  constructor(allow: readonly string[]) {
    for (const entry of allow) {
      const range = parseNetworkRange(entry)
      if (range) this.#ranges.addSubnet(range.address, range.prefixBits, range.family)
      else if (!isAllowEntry(entry)) throw new Error(`${entry} is neither an address, a range nor a host`)
      else if (entry.startsWith('*.')) this.#suffixes.push(entry.slice(1).toLowerCase())
      else this.#hosts.add(entry.toLowerCase())
    }
  }

  /** Whether the operator named the host: then its addresses are his business. */
  allowsHost(host: string): boolean {
    const name = host.toLowerCase().replace(/\.$/, '')
    return this.#hosts.has(name) || this.#suffixes.some((suffix) => name.endsWith(suffix))
  }

  /** Whether the operator named the host, or an address that is its name: what is listed may be spoken to in the clear. */
  isListed(host: string): boolean {
    const seen = seeAddress(host.startsWith('[') ? host.slice(1, -1) : host)
    return seen ? this.#ranges.check(seen.address, seen.family) : this.allowsHost(host)
  }

  /** @throws OutboundError refused */
  checkAddress(host: string, address: string): void {
    const seen = seeAddress(address)
    if (!seen) throw new OutboundError('refused', host, 'has no address', address)
    if (seen.special === undefined || this.#ranges.check(seen.address, seen.family)) return
    throw new OutboundError(
      'refused',
      host,
      'has an address that is not public',
      `${address}: ${seen.special}`,
    )
  }

  /** @param host of a URL, where IPv6 stands in brackets. @throws OutboundError refused */
  checkHost(host: string): void {
    const bare = host.startsWith('[') ? host.slice(1, -1) : host
    if (isIP(bare) !== 0) this.checkAddress(host, bare)
  }
}
