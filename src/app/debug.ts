// The listener for operators.
import type { Config } from '#config/schema.ts'
import { type Measured, startDebugServer } from '#http/debug-server.ts'
import type { Readiness } from '#http/health.ts'
import { parseListenAddress } from '#lib/listen-address.ts'

/** The listener for operators, where one is configured. Resolves to what ends it. */
export async function startDebug(
  config: Config,
  readiness: Readiness,
  metrics: Measured,
): Promise<() => Promise<void>> {
  const { addr, prometheus } = config.http.debug
  const listen = addr === undefined ? undefined : parseListenAddress(addr)
  if (!listen) return async () => {}
  const metricsPath = prometheus.enabled ? prometheus.path : undefined
  const debug = await startDebugServer({ listen, readiness, metricsPath }, metrics)
  return () => debug.stop()
}
