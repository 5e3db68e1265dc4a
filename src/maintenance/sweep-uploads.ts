// Drops uploads that nobody continued, and bytes of uploads that have no session.
import { isSweeping } from '#blobs/store.ts'
import { findUpload, staleUploads } from '#db/uploads.ts'
import { OciError } from '#oci/errors.ts'
import type { Registry } from '#registry/registry.ts'
import { bytesIdOf, HEARTBEAT_MS, sessionIdOf } from '#registry/upload-claims.ts'
import { dropUpload } from '#registry/uploads.ts'

const SESSIONS_PER_STEP = 100
/** A request of another process that has not shown for so long that it lives does not live. */
const WRITER_SILENT_MS = 10 * HEARTBEAT_MS

export interface SweepOptions {
  /** Sessions without progress for this long are abandoned. Milliseconds. */
  readonly ageMs: number
  /** Says what would be dropped, and drops nothing. */
  readonly dryRun: boolean
}

export interface SweepReport {
  readonly sessions: number
  /** Bytes that belonged to no session. */
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
    if (modifiedAt >= before) continue
    const session = await findUpload(registry.db, sessionIdOf(id))
    if (session && bytesIdOf(session) === id) continue
    orphans += 1
    if (!dryRun) await registry.storage.discard(id)
  }
  if (!dryRun && isSweeping(registry.storage)) orphans += await registry.storage.sweep(before)
  if (sessions + orphans > 0) registry.log.info('abandoned uploads were swept', { sessions, orphans, dryRun })
  return { sessions, orphans }
}

async function sweepSessions(registry: Registry, before: number, dryRun: boolean): Promise<number> {
  if (dryRun) return (await staleUploads(registry.db, before, Number.MAX_SAFE_INTEGER)).length
  let swept = 0
  for (;;) {
    const stale = await staleUploads(registry.db, before, SESSIONS_PER_STEP)
    let dropped = 0
    for (const { id } of stale) if (await dropIfStale(registry, id, before)) dropped += 1
    swept += dropped
    // Sessions that somebody continued a moment ago are not stale any more; when nothing else is left, we are done.
    if (stale.length < SESSIONS_PER_STEP || dropped === 0) return swept
  }
}

/** Looks again while nobody else can write: a client may have come back since the list was made. Who writes now is left alone. */
async function dropIfStale(registry: Registry, id: string, before: number): Promise<boolean> {
  if (registry.live.isHeld(id)) return false
  try {
    return await registry.live.hold(id, async () => {
      const session = await findUpload(registry.db, id)
      if (!session || session.updatedAt >= before) return false
      if (session.writer !== null && session.updatedAt >= registry.now() - WRITER_SILENT_MS) return false
      await dropUpload(registry, session)
      return true
    })
  } catch (error) {
    if (error instanceof OciError && error.reason === 'UPLOAD_BUSY') return false
    throw error
  }
}
