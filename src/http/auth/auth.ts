// `auth/`: how browsers log in.
import type { FastifyInstance } from 'fastify'
import type { Directory } from '#access/directory.ts'
import type { OidcLogins } from '#access/oidc/oidc-logins.ts'
import type { Sessions } from '#access/sessions/sessions.ts'
import { problem, renderError } from '#http/api/problem.ts'
import { addOidcRoutes } from '#http/auth/oidc-routes.ts'
import { addSessionRoutes } from '#http/auth/session-routes.ts'
import type { Links } from '#http/links.ts'
import type { Log } from '#telemetry/log.ts'

export const AUTH_BODY_BYTES_MAX = 16 * 1024

export interface AuthEndpoint {
  readonly directory: Directory
  readonly sessions: Sessions
  /** Undefined where no OpenID provider is configured. */
  readonly oidc: OidcLogins | undefined
  readonly links: Links
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export function addAuthRoutes(app: FastifyInstance, prefix: string, endpoint: AuthEndpoint): void {
  const base = `${prefix}auth`
  app.register(
    async (scope) => {
      scope.removeContentTypeParser('text/plain')
      scope.addHook('onRoute', (route) => {
        route.bodyLimit = AUTH_BODY_BYTES_MAX
      })
      scope.addHook('onRequest', async (_request, reply) => {
        reply.header('Cache-Control', 'no-store')
      })
      scope.setErrorHandler((error, request, reply) => renderError(error, request, reply, endpoint.log))
      scope.setNotFoundHandler((_request, reply) => problem(reply, 404, 'there is no such address'))
      addSessionRoutes(scope, endpoint)
      addOidcRoutes(scope, prefix, endpoint)
    },
    { prefix: base },
  )
}
