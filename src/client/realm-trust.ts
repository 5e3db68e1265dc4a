// Whether a password for a registry may be sent to the token service that the registry names.
//
// A registry says in its challenge where tokens are made (`realm`), and whoever answers for that registry can name any
// host. CVE-2026-33540 was a proxy that sent its upstream's password to whatever host was named. Our rule: the password
// for a registry goes to a realm only
//   - over HTTPS, or in plain HTTP to this machine itself or to the very host that plain HTTP was asked for; and
//   - on the same host as the registry (any port), or below the same registered domain (registry-1.docker.io and
//     auth.docker.io, registry.gitlab.com and gitlab.com), or on a host that the configuration names.
// To any other realm we go without credentials: an anonymous token may still do.
import { isIP } from 'node:net'
import { isLoopback } from '#client/loopback.ts'

/** Domains under which strangers live side by side: being neighbours there says nothing. */
const SHARED_DOMAINS: ReadonlySet<string> = new Set([
  'amazonaws.com',
  'appspot.com',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.net',
  'cloudfront.net',
  'duckdns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'netlify.app',
  'ngrok.io',
  'onrender.com',
  'pages.dev',
  'pkg.dev',
  'run.app',
  'sslip.io',
  'trycloudflare.com',
  'vercel.app',
  'windows.net',
  'workers.dev',
])

export interface RealmRule {
  /** Host names (no port) whose realms get the credentials of any registry of this client. */
  readonly trustedRealmHosts?: readonly string[] | undefined
  readonly allowsPlainHttp: (url: URL) => boolean
}

export function mayReceiveCredentials(registry: URL, realm: URL, rule: RealmRule): boolean {
  if (realm.protocol === 'http:') {
    const sameAsRegistry = registry.protocol === 'http:' && realm.hostname === registry.hostname
    if (!isLoopback(realm.hostname) && !(sameAsRegistry && rule.allowsPlainHttp(registry))) return false
  } else if (realm.protocol !== 'https:') return false
  if (realm.hostname === registry.hostname) return true
  if (isLoopback(realm.hostname) && isLoopback(registry.hostname)) return true
  if (rule.trustedRealmHosts?.includes(realm.hostname)) return true
  const domain = registeredDomain(registry.hostname)
  return domain !== undefined && domain === registeredDomain(realm.hostname)
}

/**
 * The part of a host name that somebody registered: two labels, or three where the country has a second level (co.uk).
 * Undefined for addresses, single labels and domains that strangers share.
 */
export function registeredDomain(hostname: string): string | undefined {
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return undefined
  const labels = hostname.toLowerCase().split('.')
  const top = labels.at(-1) ?? ''
  const second = labels.at(-2) ?? ''
  const count = top.length === 2 && second.length <= 3 ? 3 : 2
  if (labels.length < count) return undefined
  const domain = labels.slice(-count).join('.')
  return SHARED_DOMAINS.has(domain) ? undefined : domain
}
