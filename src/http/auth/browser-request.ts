// What a request of a browser must show before it may change something: that it comes from a page of ours.
import type { IncomingMessage } from 'node:http'
import { Refusal } from '#access/management/refusal.ts'
import { isCsrfToken, type LiveSession, type Sessions } from '#access/sessions/sessions.ts'
import { readCookie } from '#http/auth/session-cookie.ts'
import type { Links } from '#http/links.ts'

const CSRF_HEADER = 'x-csrf-token'
const READING = new Set(['GET', 'HEAD'])

/** The session of the cookie; undefined without one, or when it is over. @throws Refusal where it changes something unasked */
export async function sessionOf(
  request: IncomingMessage,
  sessions: Sessions,
  links: Links,
): Promise<LiveSession | undefined> {
  const cookie = readCookie(request, 'stowage', links.isSecure(request))
  const session = cookie === undefined ? undefined : await sessions.find(cookie)
  if (!session || READING.has(request.method ?? '')) return session
  checkOwnPage(request, links)
  const token = request.headers[CSRF_HEADER]
  if (!isCsrfToken(session, typeof token === 'string' ? token : undefined))
    throw new Refusal('forbidden', 'send the csrfToken of your session as X-CSRF-Token')
  return session
}

/** Browsers say where a request comes from; other clients say nothing. @throws Refusal */
export function checkOwnPage(request: IncomingMessage, links: Links): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none'
  const isElsewhere = origin !== undefined && origin !== new URL(links.base(request)).origin
  if (isForeign || isElsewhere) throw new Refusal('forbidden', 'this comes from a page of another site')
}
