// What kind of address that is: only public ones may be reached for somebody else.
// https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry
import { BlockList, isIPv4, isIPv6 } from 'node:net'

const SPECIAL_V4: Readonly<Record<string, readonly string[]>> = {
  unspecified: ['0.0.0.0/8'],
  loopback: ['127.0.0.0/8'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
  'carrier-grade NAT': ['100.64.0.0/10'],
  'link-local': ['169.254.0.0/16'],
  // Azure's, which has a public address.
  metadata: ['168.63.129.16/32'],
  reserved: [
    ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24'],
    ...['203.0.113.0/24', '240.0.0.0/4'],
  ],
  multicast: ['224.0.0.0/4'],
}

const SPECIAL_V6: Readonly<Record<string, readonly string[]>> = {
  unspecified: ['::/128'],
  loopback: ['::1/128'],
  private: ['fc00::/7', 'fec0::/10'],
  'link-local': ['fe80::/10'],
  multicast: ['ff00::/8'],
  // Teredo, 6to4 and a site's own NAT64 lead to IPv4 addresses by ways of which nothing is known here.
  tunnelled: ['2001::/32', '2002::/16', '64:ff9b:1::/48'],
  reserved: ['2001::/23', '2001:db8::/32', '3fff::/20'],
}

/** What is given out to the world: the rest is reserved. */
const GLOBAL_V6 = '2000::/3'

export interface SeenAddress {
  /** As it is compared: an IPv4 address that hides in an IPv6 one stands here as IPv4. */
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  /** Why it is not a public one: `loopback`, `private`; undefined when it is. */
  readonly special: string | undefined
}

/** Undefined for what is no address. Scopes (`fe80::1%eth0`) are left away. */
export function seeAddress(text: string): SeenAddress | undefined {
  const address = text.split('%', 1)[0] ?? ''
  if (isIPv4(address)) return { address, family: 'ipv4', special: specialV4(address) }
  if (!isIPv6(address)) return undefined
  const groups = groupsOf(address)
  const hidden = hiddenV4(groups)
  if (hidden !== undefined) return { address: hidden, family: 'ipv4', special: specialV4(hidden) }
  return { address, family: 'ipv6', special: specialV6(address) }
}

const v4 = Object.entries(SPECIAL_V4).map(([kind, ranges]) => ({ kind, list: listOf(ranges, 'ipv4') }))
const v6 = Object.entries(SPECIAL_V6).map(([kind, ranges]) => ({ kind, list: listOf(ranges, 'ipv6') }))
const global = listOf([GLOBAL_V6], 'ipv6')

function specialV4(address: string): string | undefined {
  return v4.find(({ list }) => list.check(address, 'ipv4'))?.kind
}

function specialV6(address: string): string | undefined {
  const kind = v6.find(({ list }) => list.check(address, 'ipv6'))?.kind
  return kind ?? (global.check(address, 'ipv6') ? undefined : 'reserved')
}

function listOf(ranges: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    list.addSubnet(address, Number(bits), family)
  }
  return list
}

/**
 * IPv4 in IPv6: mapped (`::ffff:0:0/96`), translated (`::ffff:0:0:0/96`), compatible (`::/96`, but for `::` and `::1`),
 * and NAT64 (`64:ff9b::/96`), through which networks without IPv4 reach the rest of the world.
 */
function hiddenV4(groups: readonly number[]): string | undefined {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, high = 0, low = 0] = groups
  const text = `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  if (a === 0x64 && b === 0xff9b && (c | d | e | f) === 0) return text
  if ((a | b | c | d) !== 0) return undefined
  const isMapped = e === 0 && f === 0xffff
  const isTranslated = e === 0xffff && f === 0
  const isCompatible = e === 0 && f === 0 && (high !== 0 || low > 1)
  return isMapped || isTranslated || isCompatible ? text : undefined
}

/** The eight groups of an IPv6 address, whose last two may be written as IPv4. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const [, before = '', ...bytes] = dotted ?? []
  const [p = 0, q = 0, r = 0, s = 0] = bytes.map(Number)
  const text = dotted ? `${before}${((p << 8) | q).toString(16)}:${((r << 8) | s).toString(16)}` : address
  const [head = '', tail] = text.split('::')
  const read = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [first, last] = [read(head), read(tail ?? '')]
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}
