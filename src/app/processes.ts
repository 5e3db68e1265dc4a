// What differs where a process is one of several.
import type { Role } from '#app/role.ts'
import type { Db } from '#db/db.ts'
import type { Signals } from '#db/signals.ts'
import { countUploads } from '#db/uploads.ts'
import type { ServerLimits } from '#http/server.ts'
import { bootId } from '#lib/boot-id.ts'
import { gather } from '#lib/gather.ts'
import { newProcessName } from '#lib/process-name.ts'
import { OpenUploads } from '#registry/open-uploads.ts'
import type { Registry } from '#registry/registry.ts'
import { SharedClaims, soleClaims } from '#registry/upload-claims.ts'

/** A worker tells that there are events, at most so often. */
const ANNOUNCE_MS = 20

const EVENTS_TOPIC = 'events'

/** What a push calls: wakes whoever waits for events, in whichever process that is. */
export function announcer(role: Role, shared: Signals | undefined, wake: () => void): () => void {
  if (shared) {
    // Whoever delivers may be any of them.
    shared.subscribe(EVENTS_TOPIC, wake)
    return () => shared.publish(EVENTS_TOPIC)
  }
  if (role.kind === 'alone') return wake
  const { signals } = role
  if (role.kind === 'worker') return gather(ANNOUNCE_MS, () => signals.publish(EVENTS_TOPIC))
  signals.subscribe(EVENTS_TOPIC, wake)
  return wake
}

export async function uploadsOf(
  role: Role,
  shared: Signals | undefined,
  db: Db,
  now: () => number,
): Promise<Pick<Registry, 'claims' | 'openUploads' | 'boot'>> {
  const count = await countUploads(db)
  const member = role.kind === 'alone' ? shared && { name: newProcessName(), signals: shared } : role
  if (!member) return { claims: soleClaims, openUploads: new OpenUploads({ count, now }), boot: '' }
  return {
    claims: new SharedClaims(member.name, shared ?? member.signals),
    openUploads: new OpenUploads({ count, now, recount: () => countUploads(db) }),
    boot: await bootId(),
  }
}

/** Connections are counted by each process for itself: together they take what one would. */
export function shareOf(limits: ServerLimits, role: Role): ServerLimits {
  if (role.kind !== 'worker') return limits
  return { ...limits, connectionsMax: Math.ceil(limits.connectionsMax / role.workers) }
}
