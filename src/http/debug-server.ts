// The second listener, for operators: health and metrics, away from the clients.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ListenOptions } from 'node:net'
import { errorReply } from '#http/errors.ts'
import { PlainRoutes, type Readiness, readinessAnswer } from '#http/health.ts'
import { sendWhole } from '#http/send.ts'
import { OciError } from '#oci/errors.ts'

/** Whoever can tell the metrics. */
export interface Measured {
  exposition(): Promise<{ readonly contentType: string; text(): Promise<string> }>
}

export interface DebugServerOptions {
  readonly listen: ListenOptions
  readonly readiness: Readiness
  /** Where the metrics are; undefined for none. */
  readonly metricsPath: string | undefined
}

export async function startDebugServer(
  options: DebugServerOptions,
  metrics: Measured,
): Promise<{ stop(): Promise<void> }> {
  const answers = new Map([['/debug/health', readinessAnswer(options.readiness)]])
  const { metricsPath } = options
  if (metricsPath !== undefined) {
    answers.set(metricsPath, async () => {
      const exposition = await metrics.exposition()
      return {
        status: 200,
        headers: { 'Content-Type': exposition.contentType },
        body: await exposition.text(),
      }
    })
  }
  const routes = new PlainRoutes(answers, {})
  const server = createServer((request, response) => {
    if (!routes.handle(request, response))
      sendWhole(response, errorReply(new OciError('ROUTE_UNKNOWN')), request.method === 'HEAD')
  })
  server.listen(options.listen)
  await once(server, 'listening')
  return {
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
