// Stores bytes and records them, while somebody else may be deleting the same bytes.
//
// A blob that nothing needs is condemned, waits, and is deleted (maintenance/gc). `deleting` is the point of no return. Who
// meets a condemned blob takes it back in a transaction; who meets one that is deleting waits until it is gone, and stores the
// bytes again. So that nobody records bytes that went in the meantime:
//
//   1. look: the row is absent or lives, and is taken back if it was condemned
//   2. store the bytes, where they are not there already
//   3. record, in a transaction that begins at most KEEP_MS_MAX after the look, and finds the row that was seen
//
// A deletion begins no sooner than CONDEMNED_MS_MIN after the blob was condemned, which is longer: what was condemned before
// the look was taken back by it, and what was condemned after it is not deleted before the transaction has run.
import { setTimeout as wait } from 'node:timers/promises'
import { BlobGoing, type BlobRecord, findBlob, reviveBlob } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobLock, type LockName } from '#db/locks.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { Registry } from '#registry/registry.ts'

export const KEEP_MS_MAX = 30_000
/** Between the condemnation of a blob and its deletion, at least. */
export const CONDEMNED_MS_MIN = 60_000

/** Longest wait for the end of a deletion: one of a batch, which takes seconds at most. */
const GOING_MS_MAX = 10_000
const GOING_LOOK_MS = 50
/** Each round but the first means that a deletion or a very slow disk came in between. */
const ROUNDS_MAX = 5
/** By then the deletion has ended, or another one has taken over from it. */
const RETRY_AFTER_SECONDS = '90'

export interface KeepBytes<T> {
  readonly sha256: Digest
  readonly size: number
  /** Makes the bytes the blob of that digest, durably. */
  readonly store: () => Promise<void>
  /** True when `store` can be called again. */
  readonly canStoreAgain: boolean
  /** Records the blob (upsertBlob) and what refers to it. May run more than once. */
  readonly record: (tx: Transaction) => Promise<T>
  readonly locks: readonly LockName[]
}

/** The time between look and transaction was too long, or what was seen is not there any more: look again. */
class Outdated extends Error {}

/**
 * Resolves to what `record` did, and whether the bytes were there already.
 * @throws OciError UNAVAILABLE when a deletion is in the way for long
 */
export async function keepBytes<T>(
  registry: Registry,
  keep: KeepBytes<T>,
): Promise<{ readonly wereThere: boolean; readonly value: T }> {
  const { sha256, size, locks } = keep
  let isStored = false
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const at = registry.now()
    const seen = await lookForPush(registry, sha256)
    const isGood = isStored || (seen !== undefined && seen.verifiedAt !== null && seen.size === size)
    if (!isGood || (await registry.storage.stat(sha256))?.size !== size) {
      // What was stored before a deletion went with it, and cannot be stored again by us.
      if (isStored && !keep.canStoreAgain) break
      await keep.store()
      isStored = true
    }
    const record = async (tx: Transaction) => {
      const elapsed = registry.now() - at
      if (elapsed > KEEP_MS_MAX || elapsed < 0) throw new Outdated()
      if (seen) await checkStillThere(tx, seen)
      return keep.record(tx)
    }
    try {
      const value = await registry.db.transaction(record, { locks })
      return { wereThere: !isStored, value }
    } catch (error) {
      if (error instanceof BlobGoing && error.digest !== sha256) throw going(error.digest)
      if (!(error instanceof BlobGoing || error instanceof Outdated)) throw error
    }
  }
  throw going(sha256)
}

/** The row, which is not condemned from now on; undefined when there is none. */
async function lookForPush(registry: Registry, sha256: Digest): Promise<BlobRecord | undefined> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const blob = await findBlob(registry.db, sha256)
    if (!blob) return undefined
    if (!blob.deleting) {
      if (blob.condemnedAt === null) return blob
      if (await tryRevive(registry, blob)) return blob
    }
    await untilGone(registry, sha256)
  }
  throw going(sha256)
}

async function tryRevive(registry: Registry, blob: BlobRecord): Promise<boolean> {
  try {
    await registry.db.transaction((tx) => reviveBlob(tx, blob), { locks: [blobLock(blob.digest)] })
    return true
  } catch (error) {
    if (error instanceof BlobGoing) return false
    throw error
  }
}

async function checkStillThere(tx: Transaction, seen: BlobRecord): Promise<void> {
  const found = await findBlob(tx, seen.digest)
  if (found?.id !== seen.id || found.deleting) throw new Outdated()
}

/** Waits for the end of a deletion. @throws OciError UNAVAILABLE when that takes too long */
async function untilGone(registry: Registry, sha256: Digest): Promise<void> {
  for (let waited = 0; waited < GOING_MS_MAX; waited += GOING_LOOK_MS) {
    if (!(await findBlob(registry.db, sha256))?.deleting) return
    await wait(GOING_LOOK_MS)
  }
  throw going(sha256)
}

function going(digest: Digest): OciError {
  return new OciError('UNAVAILABLE', {
    message: 'the same content is being deleted: send it again a little later',
    detail: { digest },
    headers: { 'Retry-After': RETRY_AFTER_SECONDS },
  })
}
