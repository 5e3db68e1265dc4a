// For several copies into one place at the same time: one budget for all, and a blob that more than one needs is moved once.
import { Budget, type BudgetLimits } from '#client/budget.ts'
import type { CopyOptions } from '#client/copy-options.ts'
import type { Digest } from '#oci/digest.ts'

/** More side by side cost more memory and cache, and on a fast network bring nothing. */
const TRANSFERS_MAX = 4
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024
/** Blobs that are remembered. Beyond that the place is asked again. */
const BLOBS_MAX = 100_000

export class SharedTransfers {
  readonly budget: Budget
  readonly #blobs = new Map<Digest, Promise<void>>()

  constructor(limits: BudgetLimits) {
    this.budget = new Budget(limits)
  }

  /** Runs the work, or waits for that of another copy. Resolves to whether it was run here. @throws what the work threw */
  async once(digest: Digest, work: () => Promise<void>): Promise<boolean> {
    const known = this.#blobs.get(digest)
    if (known) {
      await known
      return false
    }
    const running = work()
    if (this.#blobs.size < BLOBS_MAX) this.#blobs.set(digest, running)
    try {
      await running
    } catch (error) {
      this.#blobs.delete(digest)
      throw error
    }
    return true
  }
}

/** To be given to every one of the copies. */
export function newTransfers(
  limits: Pick<CopyOptions, 'transfersMax' | 'bytesInFlightMax'> = {},
): SharedTransfers {
  const { transfersMax = TRANSFERS_MAX, bytesInFlightMax = BYTES_IN_FLIGHT_MAX } = limits
  return new SharedTransfers({ transfersMax, bytesInFlightMax })
}
