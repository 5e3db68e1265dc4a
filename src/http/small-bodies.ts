// Forms and JSON, which Fastify reads whole: limited in time, as uploads are by the transfer watch.
import type { FastifyInstance } from 'fastify'
import { type AwaitingContinue, cutRequest } from '#http/body.ts'

/**
 * For all routes of the scope: the body must have come by then, or the connection is cut. A client that waits to be told
 * to go on is told.
 */
export function limitBodyTime(scope: FastifyInstance, awaiting: AwaitingContinue, bodyMs: number): void {
  scope.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    if (awaiting.delete(raw)) reply.raw.writeContinue()
    const timer = setTimeout(() => {
      if (!raw.complete) cutRequest(raw)
    }, bodyMs).unref()
    raw.once('close', () => clearTimeout(timer))
    done()
  })
}
