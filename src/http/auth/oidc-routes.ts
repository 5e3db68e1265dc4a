// `auth/oidc/`: logins by OpenID providers, of browsers and of the command line.
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { Refusal } from '#access/management/refusal.ts'
import { LoginRefused } from '#access/oidc/login-refused.ts'
import type { OidcLogins } from '#access/oidc/oidc-logins.ts'
import type { OidcSource } from '#access/oidc/oidc-source.ts'
import { parseReturnPath } from '#access/oidc/return-path.ts'
import { SEALED_CHARS_MAX } from '#access/sealed.ts'
import { AddressBudget } from '#access/sessions/address-budget.ts'
import { NotJson, NotLoggedIn, problem } from '#http/api/problem.ts'
import type { AuthEndpoint } from '#http/auth/auth.ts'
import { checkOwnPage } from '#http/auth/browser-request.ts'
import { readCookie, setCookie } from '#http/auth/session-cookie.ts'
import { beginSession } from '#http/auth/session-routes.ts'

const STARTS_PER_MINUTE_MAX = 30
const POLLS_PER_MINUTE_MAX = 120
const LOGIN_SEC = 600

const deviceStart = z.strictObject({ provider: z.string().max(64).optional() })
const devicePoll = z.strictObject({ device: z.string().min(1).max(SEALED_CHARS_MAX) })

export function addOidcRoutes(scope: FastifyInstance, prefix: string, endpoint: AuthEndpoint): void {
  const { links, log, now, oidc } = endpoint
  scope.get('/providers', async () => ({ items: oidc?.providers ?? [] }))
  if (!oidc) return
  const starts = new AddressBudget(STARTS_PER_MINUTE_MAX, now)
  const polls = new AddressBudget(POLLS_PER_MINUTE_MAX, now)

  scope.get('/oidc/login', async (request, reply) => {
    starts.spend(links.remote(request.raw))
    const { provider, return: back = `${prefix}auth/session` } = request.query as Record<string, unknown>
    const source = sourceOf(oidc, provider)
    const returnTo = typeof back === 'string' ? parseReturnPath(back) : undefined
    if (returnTo === undefined) throw new Refusal('invalid', 'return must be a path of this registry')
    const redirectUri = `${links.base(request.raw)}${prefix}auth/oidc/callback`
    const { url, carried } = await reaching(source, () => oidc.begin(source, redirectUri, returnTo), endpoint)
    const secure = links.isSecure(request.raw)
    reply.header('Set-Cookie', setCookie('stowage-login', carried, { secure, maxAgeSec: LOGIN_SEC }))
    return reply.redirect(url, 303)
  })

  scope.get('/oidc/callback', async (request, reply) => {
    starts.spend(links.remote(request.raw))
    const { raw } = request
    const secure = links.isSecure(raw)
    // The address as it was given to the provider, whatever this request says of itself.
    const query = (raw.url ?? '').replace(/^[^?]*/, '')
    const callback = new URL(`${links.base(raw)}${prefix}auth/oidc/callback${query}`)
    const carried = readCookie(raw, 'stowage-login', secure)
    reply.header('Set-Cookie', setCookie('stowage-login', '', { secure, maxAgeSec: 0 }))
    const { user, provider, returnTo } = await oidc.finish(carried, callback).catch((error) => {
      throw refusalFor(error, endpoint)
    })
    await beginSession(request, reply, endpoint, { user, method: provider })
    log.info('somebody logged in by a provider', { user, provider })
    return reply.redirect(returnTo, 303)
  })

  scope.post('/oidc/device', async (request, reply) => {
    checkOwnPage(request.raw, links)
    starts.spend(links.remote(request.raw))
    if (request.body === undefined) throw new NotJson('send JSON, with the provider or without')
    const source = sourceOf(oidc, deviceStart.parse(request.body).provider)
    if (!(await reaching(source, () => source.hasDevices(), endpoint)))
      throw new Refusal(
        'conflict',
        `the provider ${source.name} has no device flow: make an API key in a browser`,
      )
    return reply.send(await reaching(source, () => oidc.beginDevice(source), endpoint))
  })

  scope.post('/oidc/device/token', async (request, reply) => {
    checkOwnPage(request.raw, links)
    polls.spend(links.remote(request.raw))
    if (request.body === undefined) throw new NotJson('send the device, as JSON')
    const { device } = devicePoll.parse(request.body)
    const answer = await oidc.pollDevice(device).catch((error) => {
      throw refusalFor(error, endpoint)
    })
    if (answer.kind === 'pending') return reply.code(202).send({ status: 'pending', slower: answer.slower })
    if (answer.kind === 'in') {
      const { name, secret, expiresAt } = answer.key
      return reply.send({ name, secret, expiresAt: new Date(expiresAt).toISOString() })
    }
    return problem(reply, 403, answer.kind === 'denied' ? 'the login was denied' : 'the login took too long')
  })
}

function sourceOf(oidc: OidcLogins, name: unknown): OidcSource {
  const source = oidc.find(typeof name === 'string' ? name : undefined)
  if (!source || (name !== undefined && typeof name !== 'string'))
    throw new Refusal('unknown', 'there is no such provider: see auth/providers')
  return source
}

/** What goes wrong on the way to a provider is for the log: whoever asks learns that it cannot be reached. */
async function reaching<T>(source: OidcSource, work: () => Promise<T>, { log }: AuthEndpoint): Promise<T> {
  return work().catch((error: unknown) => {
    log.warn('a provider cannot be used', { provider: source.name, error: describe(error) })
    throw new Refusal('unavailable', `the provider ${source.name} cannot be reached: try again later`)
  })
}

function refusalFor(error: unknown, { log }: AuthEndpoint): Error {
  log.info('a login by a provider was refused', { why: describe(error) })
  const why = error instanceof LoginRefused ? error.message : 'the login failed: begin again'
  return new NotLoggedIn(why, 'session')
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
