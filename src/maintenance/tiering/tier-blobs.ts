// Goes over the hot tier and moves down what the policy says, or only tells what it would be. What went down is no longer met, so
// a run that was cut off is continued by beginning anew.
import type { Listing, Tiering } from '#blobs/store.ts'
import { lastUses } from '#db/blob-uses.ts'
import type { Db } from '#db/db.ts'
import { StoredSizes } from '#maintenance/scan/stored-sizes.ts'
import {
  type Amount,
  costsOf,
  goesDown,
  type TierCosts,
  type TierPolicy,
} from '#maintenance/tiering/tier-policy.ts'
import type { Digest } from '#oci/digest.ts'
import type { Log } from '#telemetry/log.ts'

/** Blobs that one question to the facts is about. */
const BLOBS_PER_STEP = 200

export interface TierRun {
  readonly db: Db
  readonly tiers: Tiering
  readonly policy: TierPolicy
  /** Moves nothing. */
  readonly dryRun: boolean
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly signal: AbortSignal
  readonly log: Log
  /** Told after every step. */
  readonly onProgress: (report: TierReport) => Promise<void>
}

export interface TierReport {
  readonly dryRun: boolean
  readonly hot: Amount
  readonly cold: Amount
  /** What went down, or would. */
  readonly moved: Amount
  /** What of it had to be copied, or would: the rest lies in the cold tier already. */
  readonly copied: Amount
  /** Blobs that could not be moved, and stay hot. */
  readonly failed: number
  readonly costs: TierCosts
}

type Blob = { readonly digest: Digest; readonly size: number }

/** @throws the reason of the signal */
export async function tierBlobs(run: TierRun): Promise<TierReport> {
  const cold = zero()
  const known = await StoredSizes.read(countingCold(run.tiers, cold), run.signal)
  const count = { hot: zero(), moved: zero(), copied: zero(), failed: 0 }
  const report = (): TierReport => {
    const { hot, moved, copied, failed } = count
    const costs = costsOf(run.policy.prices, { hot, cold, moved, copied })
    return {
      dryRun: run.dryRun,
      hot: { ...hot },
      cold,
      moved: { ...moved },
      copied: { ...copied },
      failed,
      costs,
    }
  }
  for await (const blobs of stepsOf(run.tiers.hotBlobs())) {
    run.signal.throwIfAborted()
    for (const { size } of blobs) add(count.hot, size)
    const uses = await lastUses(
      run.db,
      blobs.map(({ digest }) => digest),
    )
    for (const blob of blobs) {
      run.signal.throwIfAborted()
      if (!goesDown(run.policy, blob.size, uses.get(blob.digest), run.now())) continue
      if (!(await move(run, blob))) {
        count.failed += 1
        continue
      }
      add(count.moved, blob.size)
      if (!known?.get(blob.digest)) add(count.copied, blob.size)
    }
    await run.onProgress(report())
  }
  return report()
}

async function move({ tiers, dryRun, log }: TierRun, { digest }: Blob): Promise<boolean> {
  if (dryRun) return true
  try {
    return await tiers.demote(digest)
  } catch (error) {
    log.warn('a blob could not be moved to the cold tier, and stays where it is', {
      digest,
      error: String(error),
    })
    return false
  }
}

/** The cold tier as a store that is listed, and counted on the way. */
function countingCold(tiers: Tiering, amount: { blobs: number; bytes: number }): Listing {
  return {
    async *blobs() {
      for await (const blob of tiers.coldBlobs()) {
        add(amount, blob.size)
        yield blob
      }
    },
  }
}

async function* stepsOf(blobs: AsyncIterable<Blob>): AsyncGenerator<Blob[]> {
  let step: Blob[] = []
  for await (const blob of blobs) {
    step.push(blob)
    if (step.length < BLOBS_PER_STEP) continue
    yield step
    step = []
  }
  if (step.length > 0) yield step
}

function zero(): { blobs: number; bytes: number } {
  return { blobs: 0, bytes: 0 }
}

function add(amount: { blobs: number; bytes: number }, bytes: number): void {
  amount.blobs += 1
  amount.bytes += bytes
}
