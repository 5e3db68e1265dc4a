// How much of a rate each client has used, for all processes that share the database.
//
// A use is kept as the time at which it is forgotten: each thing used puts that off by what the rate gives for one, and time
// alone brings it back. One number a row, which two processes can both add to.
import { sql } from 'kysely'
import { databaseNow } from '#db/clock.ts'
import type { Transaction } from '#db/db.ts'

export interface RateUse {
  readonly key: string
  /** Milliseconds by which the time of being free is put off; negative where less was used than had been said. */
  readonly costMs: number
}

/** Rows of one call: far below what a statement takes. */
export const RATE_USES_MAX = 1_000

/**
 * Adds what was used. Resolves to how long each key takes to be free again, in milliseconds, with what other processes added.
 * At most RATE_USES_MAX of them, each key once.
 */
export async function addRateUses(tx: Transaction, uses: readonly RateUse[]): Promise<Map<string, number>> {
  if (uses.length === 0) return new Map()
  const now = await databaseNow(tx)
  const rows = await tx.kysely
    .insertInto('rate_uses')
    // In one order everywhere, so that two processes cannot wait for each other.
    .values([...uses].sort(byKey).map(({ key, costMs }) => ({ key, free_at: now + costMs })))
    .onConflict((conflict) =>
      conflict.column('key').doUpdateSet({
        free_at: sql<number>`case when rate_uses.free_at > ${now} then rate_uses.free_at else ${now} end + (excluded.free_at - ${now})`,
      }),
    )
    .returning(['key', 'free_at'])
    .execute()
  return new Map(rows.map(({ key, free_at }) => [key, free_at - now]))
}

function byKey(a: RateUse, b: RateUse): number {
  return a.key < b.key ? -1 : 1
}

/** Forgets who is free. Resolves to how many. */
export async function forgetFreeRates(tx: Transaction): Promise<number> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('rate_uses')
    .where('free_at', '<', await databaseNow(tx))
    .executeTakeFirst()
  return Number(numDeletedRows)
}
