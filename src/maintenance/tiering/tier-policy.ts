// Which blobs go to the cold tier, and what that is worth.

const GB = 1e9

export interface TierPolicy {
  /** A blob that was neither pushed nor pulled for so long goes down. */
  readonly moveAfterMs: number
  /** Smaller ones stay: a request for them costs more than their place. */
  readonly moveBytesMin: number
  readonly prices: TierPrices
}

/** In any currency. */
export interface TierPrices {
  /** A GB for a month. */
  readonly hot: number
  readonly cold: number
  /** A GB that is read back. */
  readonly read: number
}

export interface Amount {
  readonly blobs: number
  readonly bytes: number
}

export interface TierCosts {
  /** For a month. */
  readonly now: number
  readonly after: number
  readonly saved: number
  /** Of reading back once all that goes down. */
  readonly readBack: number
}

export function goesDown(
  { moveAfterMs, moveBytesMin }: TierPolicy,
  size: number,
  lastUse: number | undefined,
  now: number,
): boolean {
  // What has no row is not ours to move: it may be on its way in, or garbage.
  return lastUse !== undefined && size >= moveBytesMin && now - lastUse > moveAfterMs
}

/** `copied`: what of the blobs that move has no copy in the cold tier yet. */
export function costsOf(
  { hot, cold, read }: TierPrices,
  amounts: { readonly hot: Amount; readonly cold: Amount; readonly moved: Amount; readonly copied: Amount },
): TierCosts {
  const month = (hotBytes: number, coldBytes: number) => (hotBytes * hot + coldBytes * cold) / GB
  const now = month(amounts.hot.bytes, amounts.cold.bytes)
  const after = month(amounts.hot.bytes - amounts.moved.bytes, amounts.cold.bytes + amounts.copied.bytes)
  return { now, after, saved: now - after, readBack: (amounts.moved.bytes * read) / GB }
}
