// The addresses that belong to one client, as far as addresses can tell.
import { isIPv4, isIPv6 } from 'node:net'

/** Of an IPv6 address: who has one has all with the same first half (RFC 6177). */
const GROUPS_THAT_COUNT = 4
/** What a proxy names may be no address at all. */
const CHARS_MAX = 64

/**
 * An IPv4 address as it is, also where IPv6 carries it; of an IPv6 address its /64. Ports, brackets and zones do not count.
 * Anything else, such as a name of a proxy's own, stays what it is.
 */
export function addressGroup(remote: string): string {
  if (isIPv4(remote)) return remote
  const bare = bareAddress(remote)
  if (isIPv4(bare)) return bare
  if (!isIPv6(bare)) return bare.slice(0, CHARS_MAX)
  const groups = groupsOf(bare)
  return `${groups.slice(0, GROUPS_THAT_COUNT).join(':')}::/64`
}

/** Without what a Forwarded header (RFC 7239) may have around it: `[2001:db8::1]:4711`, `192.0.2.1:80`. */
export function bareAddress(remote: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(remote)
  const text = bracketed?.[1] ?? (/^[^:]*:\d+$/.test(remote) ? remote.replace(/:\d+$/, '') : remote)
  return text.replace(/%.*$/, '').replace(/^::ffff:(?=[\d.]+$)/i, '')
}

/** All eight of them, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const left = partsOf(head)
  const right = tail === undefined ? [] : partsOf(tail)
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16).toString(16))
}

/** An IPv4 address at the end stands for two groups; what they are does not matter here. */
function partsOf(text: string): string[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => (part.includes('.') ? ['0', '0'] : [part]))
}
