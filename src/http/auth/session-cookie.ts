// The cookie of a session. Over TLS its name begins with `__Host-`: no other host of the domain can set it, and it goes nowhere
// else (RFC 6265bis section 4.1.3.2).
import type { IncomingMessage } from 'node:http'

export const COOKIE_HEADER_CHARS_MAX = 8 * 1024

export type CookieName = 'stowage' | 'stowage-login'

/** Undefined where it is missing, or stands twice: then somebody else set one of the two. */
export function readCookie(request: IncomingMessage, name: CookieName, secure: boolean): string | undefined {
  const { cookie = '' } = request.headers
  if (cookie.length > COOKIE_HEADER_CHARS_MAX) return undefined
  const wanted = `${fullName(name, secure)}=`
  const values = cookie
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(wanted))
    .map((pair) => pair.slice(wanted.length))
  return values.length === 1 ? values[0] : undefined
}

export interface CookieOptions {
  readonly secure: boolean
  /** 0 takes it away. */
  readonly maxAgeSec: number
}

export function setCookie(name: CookieName, value: string, { secure, maxAgeSec }: CookieOptions): string {
  const parts = [
    `${fullName(name, secure)}=${value}`,
    'Path=/',
    `Max-Age=${maxAgeSec}`,
    'HttpOnly',
    // A login ends with a redirect from the provider's site, and a strict cookie would not come along.
    'SameSite=Lax',
  ]
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ')
}

function fullName(name: CookieName, secure: boolean): string {
  return secure ? `__Host-${name}` : name
}
