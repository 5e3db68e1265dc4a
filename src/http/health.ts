// /healthz: the process lives. /readyz: it can serve. GET / as registry:2 answers it.
import type { FastifyInstance } from 'fastify'

/** What is wrong now, by the name of the check; empty when all is well. */
export type Readiness = () => Promise<Readonly<Record<string, string>>>

export function addHealthRoutes(app: FastifyInstance, prefix: string, readiness: Readiness): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: prefix,
    handler: (_request, reply) => reply.header('Cache-Control', 'no-cache').send(),
  })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/healthz',
    handler: (_request, reply) => reply.header('Cache-Control', 'no-store').send({ status: 'ok' }),
  })
  for (const url of ['/readyz', '/debug/health']) addReadiness(app, url, readiness)
}

/** registry:2's `/debug/health` answers the failing checks as an object, 503 when there are any. */
export function addReadiness(app: FastifyInstance, url: string, readiness: Readiness): void {
  app.route({
    method: ['GET', 'HEAD'],
    url,
    handler: async (_request, reply) => {
      const failing = await readiness()
      return reply
        .code(Object.keys(failing).length > 0 ? 503 : 200)
        .header('Cache-Control', 'no-store')
        .send(failing)
    },
  })
}
