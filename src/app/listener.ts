// The listener for clients: the protocol, tokens, logins and the API, on one port.
import { randomUUID } from 'node:crypto'
import type { AuditLog } from '#access/audit/audit-log.ts'
import type { Closers } from '#app/closers.ts'
import { healthChecksOf, ownFaults } from '#app/health.ts'
import type { AppLogs } from '#app/logs.ts'
import { certificatesOf } from '#app/open-authentication.ts'
import type { OpenRegistry } from '#app/open-registry.ts'
import { shareOf } from '#app/processes.ts'
import type { Role } from '#app/role.ts'
import { defaultLimits } from '#config/limit-slices.ts'
import type { Config } from '#config/schema.ts'
import {
  linkOptions,
  listenOptions,
  replyHeaders,
  serverLimits,
  storageOptions,
  tlsOptions,
  watchLimits,
} from '#config/slices.ts'
import type { AwaitingContinue } from '#http/body.ts'
import type { Readiness } from '#http/health.ts'
import { Links } from '#http/links.ts'
import { type RunningServer, startServer } from '#http/server.ts'
import { TransferWatch } from '#http/transfer-watch.ts'
import { type Refused, V2 } from '#http/v2/dispatch.ts'
import { entryOfRefusal } from '#http/v2/refusal-entries.ts'
import { HealthChecks } from '#maintenance/health-checks.ts'
import type { OciError } from '#oci/errors.ts'
import { SystemFacts } from '#registry/overview/system.ts'
/** What listens, and what says whether it can do its work. */
export interface Listener {
  readonly server: RunningServer
  readonly readiness: Readiness
}

export async function startListener(
  config: Config,
  { log, access }: AppLogs,
  version: string,
  role: Role,
  { registry, metrics, authentication, background, figures, usage, rates, webhooks }: OpenRegistry,
  closers: Closers,
): Promise<Listener> {
  const { db, now } = registry
  const { audit } = authentication
  const program = { version, storage: storageOptions(config).kind, startedAt: now() }
  const system = new SystemFacts(db, program, now)
  const health = new HealthChecks(healthChecksOf(config, registry), log)
  closers.push(() => health.stop())
  const watch = new TransferWatch(watchLimits(config))
  const links = new Links(linkOptions(config), log)
  const awaitingContinue: AwaitingContinue = new WeakSet()
  const newRequestId = requestIds()
  const certificates = certificatesOf(config)
  const v2 = new V2({
    certificates,
    registry,
    authenticator: authentication.authenticator,
    links,
    watch,
    awaitingContinue,
    metrics,
    log,
    healthy: () => health.healthy,
    accessLog: config.log.accesslog.disabled ? undefined : access,
    headers: replyHeaders(config),
    newRequestId,
    limits: rates,
    onRefused: audit && ((error, refused) => noteRefusal(audit, error, refused)),
  })
  const { directory, sessions } = authentication
  const management = directory && sessions && webhooks && { directory, sessions, webhooks: webhooks.safety }
  const readiness: Readiness = async () => ({ ...(await ownFaults(registry)), ...health.failing() })
  const server = await startServer(
    {
      listen: role.kind === 'worker' ? role.listen : listenOptions(config),
      prefix: config.http.prefix,
      tls: tlsOptions(config),
      limits: shareOf(serverLimits(config), role),
      readiness,
      token: authentication.tokens && { service: authentication.tokens, links, log, certificates },
      auth: management && { ...management, oidc: authentication.oidc, links, log, now },
      api: {
        management: management && {
          ...{ db, now, ...management },
          quotas: { defaults: defaultLimits(config), prove: () => usage.prove() },
        },
        authenticator: authentication.authenticator,
        registry,
        overview: { figures, system },
        audit,
        jobs: background.queue,
        rates,
        links,
        log,
        newRequestId,
      },
    },
    v2,
    awaitingContinue,
  )
  closers.push(() => server.stop(config.http.draintimeoutMs))
  return { server, readiness }
}

function noteRefusal(audit: AuditLog, error: OciError, refused: Refused): void {
  const entry = entryOfRefusal(audit, error, refused)
  if (entry) audit.note(entry)
}

/** Unique for this process and all before it, and cheap. */
function requestIds(): () => string {
  const start = randomUUID().slice(0, 8)
  let count = 0
  return () => {
    count += 1
    return `${start}-${count.toString(36)}`
  }
}
