// Limits of requests, bytes and pulls, where the configuration has any.
import type { RateLimits } from '#access/rates/rate-limits.ts'
import type { Closers } from '#app/closers.ts'
import type { Role } from '#app/role.ts'
import { rateSettings } from '#config/limit-slices.ts'
import type { Config } from '#config/schema.ts'
import type { Db } from '#db/db.ts'
import { runPeriodically } from '#maintenance/periodic.ts'
import type { Log } from '#telemetry/log.ts'
import type { Metrics } from '#telemetry/metrics.ts'

const FORGETTING_INTERVAL_MS = 600_000

/** Undefined where nobody is limited: then none of it is loaded. */
export async function openRates(
  config: Config,
  { db, log, metrics }: { readonly db: Db; readonly log: Log; readonly metrics: Metrics },
  role: Role,
  closers: Closers,
): Promise<RateLimits | undefined> {
  const settings = rateSettings(config)
  if (!settings || role.kind === 'primary') return undefined
  const { RateLimits } = await import('#access/rates/rate-limits.ts')
  const rates = new RateLimits(settings, {
    ...{ db, log, now: () => performance.now() },
    onLimited: (limited, by) => metrics.limited(limited, by),
  })
  const every = { everyMs: FORGETTING_INTERVAL_MS, firstMs: FORGETTING_INTERVAL_MS }
  const forgetting = runPeriodically('forget who used no rate lately', every, () => rates.keep(), log)
  closers.push(async () => {
    await forgetting.stop()
    await rates.close()
  })
  return rates
}
