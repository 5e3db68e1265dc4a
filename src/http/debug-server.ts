// The second listener, for operators: health and metrics, away from the clients.
import Fastify, { type FastifyListenOptions } from 'fastify'
import { addReadiness, type Readiness } from '#http/health.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export interface DebugServerOptions {
  readonly listen: FastifyListenOptions
  readonly readiness: Readiness
  /** Where the metrics are; undefined for none. */
  readonly metricsPath: string | undefined
}

export async function startDebugServer(
  options: DebugServerOptions,
  metrics: Metrics,
): Promise<{ stop(): Promise<void> }> {
  const app = Fastify({ exposeHeadRoutes: false, forceCloseConnections: true })
  addReadiness(app, '/debug/health', options.readiness)
  const { metricsPath } = options
  if (metricsPath !== undefined) {
    app.get(metricsPath, async (_request, reply) => {
      const exposition = await metrics.exposition()
      return reply.type(exposition.contentType).send(await exposition.text())
    })
  }
  await app.listen(options.listen)
  return { stop: () => app.close() }
}
