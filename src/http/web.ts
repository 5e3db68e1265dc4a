// Everything of the server that is neither /v2/ nor health: tokens, logins of browsers, the API. On Fastify, and loaded when
// it is first asked for: that is a fifth of the memory of a server that nobody has.
import type { IncomingMessage, ServerResponse } from 'node:http'
import Fastify, { type FastifyReply } from 'fastify'
import { pathBehind } from '#http/address.ts'
import type { AwaitingContinue } from '#http/body.ts'
import { errorReply } from '#http/errors.ts'
import { SECURITY_HEADERS } from '#http/security-headers.ts'
import type { ServerOptions } from '#http/server.ts'
import { limitBodyTime } from '#http/small-bodies.ts'
import { addTokenRoutes } from '#http/token.ts'
import { OnDemand } from '#lib/on-demand.ts'
import { OciError } from '#oci/errors.ts'

export interface Web {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  close(): Promise<void>
}

/**
 * Our schemas are zod's, and checked by the handlers. Without this Fastify loads more than a hundred files of validators and
 * serializers that nobody uses.
 */
function noSchemas(): never {
  throw new Error('a route of this server has no schema of Fastify')
}

export async function openWeb(options: ServerOptions, awaitingContinue: AwaitingContinue): Promise<Web> {
  const { prefix, token, auth, limits } = options
  const app = Fastify({
    exposeHeadRoutes: false,
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    routerOptions: { maxParamLength: limits.headerBytesMax, caseSensitive: true },
    frameworkErrors: (_error, _request, reply) =>
      refuse(
        reply as FastifyReply,
        new OciError('NAME_INVALID', { detail: 'the address cannot be decoded' }),
      ),
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, new OciError('ROUTE_UNKNOWN')))
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      reply.headers(SECURITY_HEADERS)
      options.api.rates?.arrived(options.api.links.remote(request.raw))
    })
    limitBodyTime(scope, awaitingContinue, limits.headerMs)
    if (token) addTokenRoutes(scope, prefix, token)
    if (!auth) return
    const { addAuthRoutes } = await import('#http/auth/auth.ts')
    addAuthRoutes(scope, prefix, auth)
  })
  const api = new OnDemand(async () => {
    const { openApi } = await import('#http/api/api.ts')
    const { headerBytesMax, headerMs: bodyMs } = limits
    return openApi(prefix, options.api, { headerBytesMax, bodyMs }, awaitingContinue)
  })
  if (options.api.management) await api.get()
  await app.ready()
  const base = `${prefix}api/v1`
  return {
    // Told apart by the address alone: a router of Fastify knows a method that it does not support at no address.
    async handle(request, response) {
      const isApi = pathBehind(request.url ?? '', base) !== undefined
      ;(isApi ? await api.get() : app).routing(request, response)
    },
    async close() {
      await app.close()
      await (await api.made)?.close()
    },
  }
}

function refuse(reply: FastifyReply, error: OciError): void {
  const { status, headers, body } = errorReply(error)
  // As bytes: to text Fastify would add a charset, which the media type does not have.
  void reply
    .code(status)
    .headers({ ...SECURITY_HEADERS, ...(headers as Record<string, string>) })
    .send(Buffer.from(String(body)))
}
