// The composition root: a configuration in, a running registry out; what starts first stops last.
import type { AuditLog } from '#access/audit/audit-log.ts'
import { type Closers, closeAll } from '#app/closers.ts'
import { startDebug } from '#app/debug.ts'
import { ownFaults } from '#app/health.ts'
import { startListener } from '#app/listener.ts'
import type { AppLogs, AppSecrets } from '#app/logs.ts'
import { openRegistry } from '#app/open-registry.ts'
import { ALONE, type Role } from '#app/role.ts'
import type { Config } from '#config/schema.ts'
import type { Readiness } from '#http/health.ts'
import type { Registry } from '#registry/registry.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export interface App {
  /** `host:port`, or the path of a socket; empty for a primary. */
  readonly address: string
  readonly port: number | undefined
  readonly registry: Registry
  /** Undefined where the registry has no users. */
  readonly audit: AuditLog | undefined
  readonly metrics: Metrics
  /** What keeps this process from its work, by name. */
  readonly readiness: Readiness
  /** Whether everything that other programs wrote into the folder is known. */
  readonly treeRead: () => boolean
  /** Reads certificates, users and the keys of tokens again. */
  reload(): Promise<void>
  /** Finishes transfers within the drain time, then closes everything. */
  stop(): Promise<void>
}

/** @throws Error with a sentence for the operator when something that the configuration names cannot be used */
export async function startApp(
  config: Config,
  logs: AppLogs,
  secrets: AppSecrets = {},
  role: Role = ALONE,
): Promise<App> {
  const closers: Closers = []
  try {
    return await compose(config, logs, secrets, role, closers)
  } catch (error) {
    await closeAll(closers).catch((failure) =>
      logs.log.error('closing after a failed start failed', { error: String(failure) }),
    )
    throw error
  }
}

async function compose(
  config: Config,
  logs: AppLogs,
  { adminPassword, version = 'unknown' }: AppSecrets,
  role: Role,
  closers: Closers,
): Promise<App> {
  const opened = await openRegistry(config, logs.log, adminPassword, role, closers)
  const { registry, metrics, authentication, background, tree } = opened
  const parts = { registry, metrics, audit: authentication.audit, treeRead: () => tree?.read() ?? true }
  const stop = () => closeAll(closers)
  const work = async () => {
    await background.begin()
    closers.push(() => background.stop())
  }
  if (role.kind === 'primary') {
    tree?.start()
    await work()
    const readiness = () => ownFaults(registry)
    return { ...parts, address: '', port: undefined, readiness, reload: () => authentication.reload(), stop }
  }
  const { server, readiness } = await startListener(config, logs, version, role, opened, closers)
  if (role.kind === 'alone') closers.push(await startDebug(config, readiness, metrics))
  tree?.start()
  if (role.kind === 'alone') await work()
  const { address, port } = server
  const reload = async () => {
    await server.reloadTls()
    await authentication.reload()
  }
  return { ...parts, address, port, readiness, reload, stop }
}
