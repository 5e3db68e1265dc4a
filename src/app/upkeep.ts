// What is done every so often, whether anybody asks or not.
import { SEAL_INTERVAL_MS } from '#access/audit/audit-cursor.ts'
import type { AuditLog } from '#access/audit/audit-log.ts'
import type { UsageKeeper } from '#access/quotas/usage-keeper.ts'
import type { Closers } from '#app/closers.ts'
import type { Config } from '#config/schema.ts'
import type { Reserve } from '#db/reserve.ts'
import { type Periodic, runPeriodically } from '#maintenance/periodic.ts'
import type { Figures } from '#registry/overview/figures.ts'
import type { Registry } from '#registry/registry.ts'
import type { Log } from '#telemetry/log.ts'

const RESERVE_INTERVAL_MS = 60_000
const FIGURES_INTERVAL_MS = 15_000
const ACCESS_INTERVAL_MS = 600_000
const AUDIT_CUT_INTERVAL_MS = 3_600_000
/** How long a process may believe what another has changed, where the signal of that was lost. */
const LOOK_AGAIN_MS = 2_000
const USAGE_INTERVAL_MS = 60_000

/** In every process: what it notes of logins and refusals is its own. The rest is done by whichever comes first. */
export function sealPeriodically(audit: AuditLog, log: Log, closers: Closers): void {
  const every = { everyMs: SEAL_INTERVAL_MS, firstMs: SEAL_INTERVAL_MS }
  const sealing = runPeriodically('seal the audit log', every, () => audit.seal(), log)
  closers.push(async () => {
    await sealing.stop()
    await audit.seal(true)
  })
}

/** For a process beside others: what it believes of keys and projects is looked at again. */
export function lookPeriodically(look: () => Promise<void>, log: Log, closers: Closers): void {
  const every = { everyMs: LOOK_AGAIN_MS, firstMs: LOOK_AGAIN_MS }
  const looking = runPeriodically('look at keys and projects', every, look, log)
  closers.push(() => looking.stop())
}

interface Upkept {
  readonly reserve: Reserve | undefined
  readonly access: (() => Promise<void>) | undefined
  readonly audit: AuditLog | undefined
  readonly figures: Figures
  readonly usage: UsageKeeper
}

export function startUpkeep(
  config: Config,
  registry: Registry,
  { reserve, access, audit, figures, usage }: Upkept,
  closers: Closers,
): void {
  const tasks: Periodic[] = []
  const keeping = { everyMs: USAGE_INTERVAL_MS, firstMs: USAGE_INTERVAL_MS }
  tasks.push(runPeriodically('keep what is used', keeping, () => usage.keep(), registry.log))
  if (reserve) {
    const every = { everyMs: RESERVE_INTERVAL_MS, firstMs: RESERVE_INTERVAL_MS }
    tasks.push(runPeriodically('make the reserve', every, () => reserve.make(), registry.log))
  }
  if (access) {
    const every = { everyMs: ACCESS_INTERVAL_MS, firstMs: ACCESS_INTERVAL_MS }
    tasks.push(runPeriodically('keep keys, tokens and projects', every, access, registry.log))
  }
  const counting = { everyMs: FIGURES_INTERVAL_MS, firstMs: FIGURES_INTERVAL_MS }
  tasks.push(runPeriodically('count repositories', counting, () => figures.step(), registry.log))
  if (audit) {
    const keepMs = config.auth.stowage?.auditretentionMs ?? 0
    const cutting = { everyMs: AUDIT_CUT_INTERVAL_MS, firstMs: AUDIT_CUT_INTERVAL_MS }
    if (keepMs > 0)
      tasks.push(runPeriodically('cut the audit log', cutting, () => audit.cut(keepMs), registry.log))
  }
  closers.push(async () => {
    for (const task of tasks) await task.stop()
  })
}
