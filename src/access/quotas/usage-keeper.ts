// Keeps what is counted for quotas cheap to look at, and right.
import { type DefaultLimits, isNearlyUsed } from '#access/quotas/limits.ts'
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { findQuota, forgetWarning, warnedScopes } from '#db/quotas.ts'
import { gatherUsage, MEASURES, scopesToGather, usageOf } from '#db/usage.ts'
import { repairUsage, type UsageDifference, usageDifferences } from '#db/usage-recount.ts'
import type { Log } from '#telemetry/log.ts'

export interface UsageKeeperOptions {
  readonly db: Db
  readonly defaults: DefaultLimits
  readonly log: Log
}

export class UsageKeeper {
  readonly #options: UsageKeeperOptions
  readonly #gathering = new Map<string, Promise<void>>()

  constructor(options: UsageKeeperOptions) {
    this.#options = options
  }

  /** Begins to gather the changes of a scope, once at a time. */
  gatherSoon(scope: string): void {
    if (this.#gathering.has(scope)) return
    const gathered = this.#gather(scope)
      .catch((error) =>
        this.#options.log.warn('usage could not be gathered', { scope, error: String(error) }),
      )
      .finally(() => this.#gathering.delete(scope))
    this.#gathering.set(scope, gathered)
  }

  /** Gathers where that is worth it, and forgets warnings about what is no longer nearly used up. */
  async keep(): Promise<void> {
    const { db } = this.#options
    for (const scope of await scopesToGather(db)) await this.#gather(scope)
    for (const scope of await warnedScopes(db)) {
      if (await this.#isNearlyUsed(scope)) continue
      await db.transaction((tx) => forgetWarning(tx, scope), { durable: false, locks: NO_LOCKS })
    }
  }

  /** Counts everything anew. Resolves to what was counted wrong, which is right by then. */
  async prove(): Promise<readonly UsageDifference[]> {
    const { db, log } = this.#options
    const differences = await usageDifferences(db)
    if (differences.length === 0) return []
    log.warn('what is used was counted wrong, and is put right', { differences: differences.slice(0, 20) })
    await db.transaction((tx) => repairUsage(tx))
    return differences
  }

  async close(): Promise<void> {
    await Promise.all(this.#gathering.values())
  }

  async #gather(scope: string): Promise<void> {
    await this.#options.db.transaction((tx) => gatherUsage(tx, scope), { durable: false, locks: NO_LOCKS })
  }

  async #isNearlyUsed(scope: string): Promise<boolean> {
    const { db, defaults } = this.#options
    const kind = scope === 'registry' ? 'registry' : scope.startsWith('user:') ? 'user' : 'project'
    const limits = (await findQuota(db, scope))?.limits ?? defaults[kind]
    const { used } = await usageOf(db, scope)
    return MEASURES.some((measure) => isNearlyUsed(used[measure], limits[measure]))
  }
}
