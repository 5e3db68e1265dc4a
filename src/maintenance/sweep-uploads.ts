// Drops uploads that nobody continued, and bytes of uploads that have no session.
import { findUpload, staleUploads } from '#db/uploads.ts'
import type { Registry } from '#registry/registry.ts'
import { dropUpload } from '#registry/uploads.ts'

const SESSIONS_PER_STEP = 100

export interface SweepOptions {
  /** Sessions without progress for this long are abandoned. Milliseconds. */
  readonly ageMs: number
  /** Says what would be dropped, and drops nothing. */
  readonly dryRun: boolean
}

export interface SweepReport {
  readonly sessions: number
  /** Bytes on disk that belonged to no session. */
  readonly orphans: number
}

export async function sweepUploads(
  registry: Registry,
  { ageMs, dryRun }: SweepOptions,
): Promise<SweepReport> {
  const before = registry.now() - ageMs
  const sessions = await sweepSessions(registry, before, dryRun)
  let orphans = 0
  for await (const { id, modifiedAt } of registry.storage.list()) {
    if (modifiedAt >= before || (await findUpload(registry.db, id))) continue
    orphans += 1
    if (!dryRun) await registry.storage.discard(id)
  }
  if (sessions + orphans > 0) registry.log.info('abandoned uploads were swept', { sessions, orphans, dryRun })
  return { sessions, orphans }
}

async function sweepSessions(registry: Registry, before: number, dryRun: boolean): Promise<number> {
  if (dryRun) return (await staleUploads(registry.db, before, Number.MAX_SAFE_INTEGER)).length
  let swept = 0
  for (;;) {
    const stale = await staleUploads(registry.db, before, SESSIONS_PER_STEP)
    for (const { id } of stale) await registry.live.hold(id, () => dropUpload(registry, id))
    swept += stale.length
    if (stale.length < SESSIONS_PER_STEP) return swept
  }
}
