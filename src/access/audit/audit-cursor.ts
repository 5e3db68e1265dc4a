// How far the audit log has taken in the events, and what becomes of that where there is no log.
import type { Db } from '#db/db.ts'
import { deleteEventCursor } from '#db/event-cursors.ts'

export const AUDIT_CURSOR = 'audit'
/** How often what is new is chained: well below the 5 s that it may be behind. */
export const SEAL_INTERVAL_MS = 2_000

/** Where there is no log any more, nothing waits for it before events are deleted. */
export async function forgetAuditCursor(db: Db): Promise<void> {
  await db.transaction((tx) => deleteEventCursor(tx, AUDIT_CURSOR), {
    durable: false,
    mayUseReserve: true,
  })
}
