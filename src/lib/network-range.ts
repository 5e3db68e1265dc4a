// An address or a range of addresses in CIDR notation: `10.0.0.0/8`, `192.0.2.7`, `fd00::/8`.
import { isIP } from 'node:net'

export interface NetworkRange {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  /** Leading bits that count; all of them for a single address. */
  readonly prefixBits: number
}

/** Undefined when the text is neither. The result fits `net.BlockList#addSubnet`. */
export function parseNetworkRange(text: string): NetworkRange | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0 || address.includes('%')) return undefined
  const bits = version === 4 ? 32 : 128
  const family = version === 4 ? 'ipv4' : 'ipv6'
  if (prefix === undefined) return { address, family, prefixBits: bits }
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) return undefined
  return { address, family, prefixBits: Number(prefix) }
}
