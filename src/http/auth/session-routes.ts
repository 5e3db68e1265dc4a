// Sessions of browsers: `auth/login` by password, `auth/session`, `auth/logout`.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { hasControls } from '#access/passwords/basic-credentials.ts'
import { PASSWORD_CHARS_MAX } from '#access/passwords/passwords.ts'
import type { LiveSession, OpenedSession } from '#access/sessions/sessions.ts'
import { NotJson, NotLoggedIn } from '#http/api/problem.ts'
import type { AuthEndpoint } from '#http/auth/auth.ts'
import { checkOwnPage, sessionOf } from '#http/auth/browser-request.ts'
import { readCookie, setCookie } from '#http/auth/session-cookie.ts'

const login = z.strictObject({
  name: z.string().min(1).max(255),
  password: z.string().min(1).max(PASSWORD_CHARS_MAX),
})

export function addSessionRoutes(scope: FastifyInstance, endpoint: AuthEndpoint): void {
  const { directory, sessions, links } = endpoint
  scope.post('/login', async (request, reply) => {
    checkOwnPage(request.raw, links)
    if (request.body === undefined) throw new NotJson('send name and password, as application/json')
    const { name, password } = login.parse(request.body)
    if (hasControls(name + password)) throw wrong()
    const identity = await directory.identityBy({ user: name, password }, links.remote(request.raw))
    // A key speaks for a user, perhaps for less than he may: it does not make a session that may all.
    if (
      identity?.kind !== 'user' ||
      identity.principal.kind !== 'user' ||
      identity.principal.key !== undefined
    )
      throw wrong()
    await openSession(request, reply, endpoint, { user: identity.principal.name, method: 'password' })
    return reply
  })
  scope.get('/session', async (request, reply) => {
    const session = await sessionOf(request.raw, sessions, links)
    if (!session) throw new NotLoggedIn('there is no session: log in', 'session')
    return reply.send(view(session))
  })
  scope.post('/logout', async (request, reply) => {
    const cookie = readCookie(request.raw, 'stowage', links.isSecure(request.raw))
    if (cookie !== undefined && (await sessionOf(request.raw, sessions, links))) await sessions.close(cookie)
    const gone = { secure: links.isSecure(request.raw), maxAgeSec: 0 }
    return reply
      .code(204)
      .header('Set-Cookie', setCookie('stowage', '', gone))
      .send()
  })
}

function wrong(): NotLoggedIn {
  return new NotLoggedIn('the user name or password is wrong', 'session')
}

/** Opens a session and sends what a page must know of it. @throws NotLoggedIn when the user is gone by now */
export async function openSession(
  request: FastifyRequest,
  reply: FastifyReply,
  endpoint: AuthEndpoint,
  who: { readonly user: string; readonly method: string },
): Promise<void> {
  const opened = await beginSession(request, reply, endpoint, who)
  const { csrfToken, expiresAt } = opened
  reply.send({ name: who.user, method: who.method, csrfToken, expiresAt: new Date(expiresAt).toISOString() })
}

/** Opens a session and puts its cookie on the reply, in the place of the one that the browser had. */
export async function beginSession(
  request: FastifyRequest,
  reply: FastifyReply,
  { sessions, links, now }: AuthEndpoint,
  { user, method }: { readonly user: string; readonly method: string },
): Promise<OpenedSession> {
  const { raw } = request
  const secure = links.isSecure(raw)
  const origin = { method, remote: links.remote(raw), userAgent: raw.headers['user-agent'] }
  const opened = await sessions.open(user, origin, readCookie(raw, 'stowage', secure))
  if (!opened) throw new NotLoggedIn('there is no such user any more', 'session')
  const maxAgeSec = Math.floor((opened.expiresAt - now()) / 1_000)
  reply.header('Set-Cookie', setCookie('stowage', opened.cookie, { secure, maxAgeSec }))
  return opened
}

function view({ record, csrfToken }: LiveSession) {
  const { userName: name, method, expiresAt } = record
  return { name, method, csrfToken, expiresAt: new Date(expiresAt).toISOString() }
}
