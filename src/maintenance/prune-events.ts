// Deletes events that are older than somebody wants to know, in small steps.
import { setTimeout as wait } from 'node:timers/promises'
import { pruneEvents } from '#db/events.ts'
import { READ_KINDS, WRITE_KINDS } from '#events/kinds.ts'
import type { Registry } from '#registry/registry.ts'

const EVENTS_PER_STEP = 500
const PAUSE_MS = 20

export interface Retention {
  /** Milliseconds; 0 keeps for ever. */
  readonly readsMs: number
  readonly writesMs: number
}

export async function pruneOldEvents(registry: Registry, retention: Retention): Promise<number> {
  const reads = await prune(registry, READ_KINDS, retention.readsMs)
  const writes = await prune(registry, WRITE_KINDS, retention.writesMs)
  return reads + writes
}

async function prune(registry: Registry, kinds: readonly string[], keepMs: number): Promise<number> {
  if (keepMs === 0) return 0
  const before = registry.now() - keepMs
  let pruned = 0
  for (;;) {
    const step = await registry.db.transaction(
      (tx) => pruneEvents(tx, { kinds, before, limit: EVENTS_PER_STEP }),
      { durable: false, mayUseReserve: true },
    )
    pruned += step
    if (step < EVENTS_PER_STEP) return pruned
    await wait(PAUSE_MS)
  }
}
