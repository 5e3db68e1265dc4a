// Whom registry:2's `notifications` tell of what happens.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Config } from '#config/schema.ts'
import type { Db } from '#db/db.ts'
import { type EndpointOptions, TIMEOUT_MS_MAX } from '#events/notifications/endpoint.ts'
import { Notifier } from '#events/notifications/notifier.ts'
import { parseListenAddress } from '#lib/listen-address.ts'
import type { Log } from '#telemetry/log.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export function openNotifications(
  config: Config,
  parts: { readonly db: Db; readonly log: Log; readonly metrics: Metrics },
): Promise<Notifier | undefined> {
  const { db, log, metrics } = parts
  const port = config.http.net === 'tcp' ? parseListenAddress(config.http.addr)?.port : undefined
  const addr = port === undefined ? hostname() : `${hostname()}:${port}`
  return Notifier.open({
    ...{ db, log, source: { addr, instanceID: randomUUID() } },
    endpoints: endpointsOf(config),
    onFailure: () => metrics.notificationFailed(),
  })
}

function endpointsOf({ notifications: { endpoints } }: Config): EndpointOptions[] {
  return endpoints.flatMap(({ name, url, disabled, headers, ignoredmediatypes, ignore, ...limits }) =>
    disabled || name === undefined || url === undefined
      ? []
      : {
          ...{ name, url, headers },
          timeoutMs: Math.min(limits.timeoutMs, TIMEOUT_MS_MAX),
          threshold: limits.threshold,
          backoffMs: limits.backoffMs,
          ignoredMediaTypes: new Set([...ignoredmediatypes, ...ignore.mediatypes]),
          ignoredActions: new Set(ignore.actions),
        },
  )
}
