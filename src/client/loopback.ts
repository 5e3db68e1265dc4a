// Which hosts are this machine itself: the only ones that plain HTTP is used for without being asked.
import { isIPv4, isIPv6 } from 'node:net'

/** True for localhost, *.localhost, 127.0.0.0/8 and ::1. Takes a host name as URL.hostname has it. */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (host === 'localhost' || host.endsWith('.localhost')) return true
  if (isIPv4(host)) return host.startsWith('127.')
  return isIPv6(host) && (host === '::1' || /^::ffff:(?:127\.|7f[0-9a-f]{2}:)/.test(host))
}
