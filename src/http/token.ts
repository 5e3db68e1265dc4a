// The token endpoint: `GET` and `POST <prefix>token`, and the public keys of what it signs.
// https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { FEDERATED_USER } from '#access/federation/federation.ts'
import { type Credentials, hasControls, parseBasic } from '#access/passwords/basic-credentials.ts'
import type { IssuedToken, TokenService } from '#access/tokens/token-service.ts'
import type { ClientCertificates } from '#http/client-certificates.ts'
import { asOciError, errorReply } from '#http/errors.ts'
import type { Links } from '#http/links.ts'
import { formatGrants, parseScopes } from '#identity/scope.ts'
import { OciError } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

/** Of a form: a password, some scopes, a refresh token. */
export const FORM_BYTES_MAX = 16 * 1024
const FORM = 'application/x-www-form-urlencoded'
const REALM = 'Stowage'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_TYPES = ['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token']

export interface TokenEndpoint {
  readonly service: TokenService
  readonly links: Links
  readonly log: Log
  /** Undefined where certificates of clients do not count. */
  readonly certificates: ClientCertificates | undefined
}

export function addTokenRoutes(app: FastifyInstance, prefix: string, endpoint: TokenEndpoint): void {
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      FORM,
      { parseAs: 'string', bodyLimit: FORM_BYTES_MAX },
      (_request, body, done) => done(null, new URLSearchParams(String(body))),
    )
    scope.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
      const status = error.statusCode ?? 500
      if (status >= 400 && status < 500) return oauthError(reply, status, 'invalid_request', error.message)
      return refuse(reply, asOciError(error), endpoint.log)
    })
    scope.get(`${prefix}token`, (request, reply) => getToken(request, reply, endpoint))
    scope.post(`${prefix}token`, (request, reply) => postToken(request, reply, endpoint))
    scope.get(`${prefix}token/jwks`, (_request, reply) =>
      reply.header('Cache-Control', 'public, max-age=300').send(endpoint.service.jwks),
    )
  })
}

async function getToken(
  request: FastifyRequest,
  reply: FastifyReply,
  { service, links, certificates }: TokenEndpoint,
): Promise<FastifyReply> {
  const query = queryOf(request)
  const { authorization } = request.headers
  const credentials = authorization === undefined ? undefined : parseBasic(authorization)
  if (authorization !== undefined && !credentials) throw new OciError('CREDENTIALS_INVALID')
  const identity = await service.authenticate(
    credentials,
    links.remote(request.raw),
    certificates?.namesOf(request.raw),
  )
  const issued = await service.issue(identity, parseScopes(query.getAll('scope').join(' ')))
  const isOffline = query.get('offline_token') === 'true'
  const refresh = isOffline ? await service.createRefresh(identity, query.get('client_id') ?? '') : undefined
  return sendToken(reply, {
    token: issued.token,
    ...common(issued),
    ...(refresh !== undefined && { refresh_token: refresh }),
  })
}

async function postToken(
  request: FastifyRequest,
  reply: FastifyReply,
  { service, links }: TokenEndpoint,
): Promise<FastifyReply> {
  const form = request.body
  if (!(form instanceof URLSearchParams))
    return oauthError(reply, 400, 'invalid_request', `send a form as ${FORM}`)
  if (form.get('grant_type') === TOKEN_EXCHANGE)
    return exchangeToken(request, reply, form, { service, links })
  const clientId = form.get('client_id') ?? ''
  if (clientId === '') return oauthError(reply, 400, 'invalid_request', 'client_id is missing')
  const scopes = parseScopes(form.getAll('scope').join(' '))
  const grantType = form.get('grant_type')
  if (grantType === 'refresh_token') {
    const refresh = form.get('refresh_token') ?? ''
    const issued = await service.issue(await service.useRefresh(refresh), scopes)
    return sendToken(reply, {
      ...common(issued),
      scope: formatGrants(issued.grants),
      refresh_token: refresh,
    })
  }
  if (grantType !== 'password')
    return oauthError(
      reply,
      400,
      'unsupported_grant_type',
      'grant_type is password, refresh_token or token-exchange',
    )
  const credentials: Credentials = {
    user: form.get('username') ?? '',
    password: form.get('password') ?? '',
  }
  if (credentials.user === '') return oauthError(reply, 400, 'invalid_request', 'username is missing')
  if (hasControls(credentials.user + credentials.password)) throw new OciError('CREDENTIALS_INVALID')
  const identity = await service.authenticate(credentials, links.remote(request.raw))
  const issued = await service.issue(identity, scopes)
  const isOffline = form.get('access_type') === 'offline'
  const refresh = isOffline ? await service.createRefresh(identity, clientId) : undefined
  return sendToken(reply, {
    ...common(issued),
    scope: formatGrants(issued.grants),
    ...(refresh !== undefined && { refresh_token: refresh }),
  })
}

/** RFC 8693: the token of a job for one of ours. It needs no client: the token says who asks. */
async function exchangeToken(
  request: FastifyRequest,
  reply: FastifyReply,
  form: URLSearchParams,
  { service, links }: Pick<TokenEndpoint, 'service' | 'links'>,
): Promise<FastifyReply> {
  const token = form.get('subject_token') ?? ''
  const kind = form.get('subject_token_type') ?? ''
  if (token === '' || !JWT_TYPES.includes(kind))
    return oauthError(
      reply,
      400,
      'invalid_request',
      `send a subject_token of the type ${JWT_TYPES.join(' or ')}`,
    )
  const user = form.get('username') ?? FEDERATED_USER
  if (hasControls(user + token)) throw new OciError('CREDENTIALS_INVALID')
  const identity = await service.authenticate({ user, password: token }, links.remote(request.raw))
  const issued = await service.issue(identity, parseScopes(form.getAll('scope').join(' ')))
  return sendToken(reply, {
    ...common(issued),
    scope: formatGrants(issued.grants),
    token_type: 'Bearer',
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  })
}

function common({ token, expiresInSec, issuedAtMs }: IssuedToken) {
  return { access_token: token, expires_in: expiresInSec, issued_at: new Date(issuedAtMs).toISOString() }
}

function sendToken(reply: FastifyReply, body: object): FastifyReply {
  return reply.header('Cache-Control', 'no-store').send(body)
}

function queryOf(request: FastifyRequest): URLSearchParams {
  const url = request.raw.url ?? ''
  const mark = url.indexOf('?')
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
}

/** RFC 6749 section 5.2. */
function oauthError(reply: FastifyReply, status: number, error: string, description: string): FastifyReply {
  return reply
    .code(status)
    .header('Cache-Control', 'no-store')
    .send({ error, error_description: description })
}

function refuse(reply: FastifyReply, error: OciError, log: Log): FastifyReply {
  if (error.row.status >= 500)
    log.error('a token could not be issued', { error: String(error.cause ?? error) })
  const { status, headers, body } = errorReply(error)
  // Here a password is what helps, whatever the registry itself would say.
  const challenge = status === 401 ? { 'WWW-Authenticate': `Basic realm="${REALM}"` } : {}
  return reply
    .code(status)
    .headers({ ...headers, ...challenge, 'Cache-Control': 'no-store' })
    .send(Buffer.from(String(body)))
}
