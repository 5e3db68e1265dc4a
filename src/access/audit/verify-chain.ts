// Whether the audit log is what was written: every entry hashed again, every checkpoint compared with what was signed.
import { type AuditPublicKeys, isSignedBy } from '#access/audit/audit-key.ts'
import { type ChainPlace, GENESIS, placeAfter, type SealedEntry } from '#access/audit/chain.ts'
import type { AuditCheckpointRecord } from '#db/audit.ts'

export interface ChainReport {
  /** Entries that were hashed again. */
  readonly entries: number
  /** Where the log begins: what comes before was deleted when it was old enough. */
  readonly from: ChainPlace
  /** The last entry that is good. Whoever notes it elsewhere can later ask whether it is still part of the log. */
  readonly to: ChainPlace
  /** The first place where something is wrong; undefined when nothing is. */
  readonly broken: { readonly position: number; readonly why: string } | undefined
}

export interface Chain {
  /** By position, read before the entries are. */
  readonly checkpoints: readonly AuditCheckpointRecord[]
  readonly keys: AuditPublicKeys
  /** In order, those behind a position and no further than the last checkpoint. */
  entriesAfter(position: number): AsyncIterable<SealedEntry>
}

/** @param noted a place that was the end of the log once; compared where the log still reaches that far */
export async function verifyChain(
  { checkpoints, keys, entriesAfter }: Chain,
  noted?: ChainPlace,
): Promise<ChainReport> {
  const from: ChainPlace = checkpoints.findLast(({ kind }) => kind === 'cut') ?? GENESIS
  const forged = checkpoints.find((checkpoint) => !isSignedBy(keys, checkpoint))
  let to = from
  let entries = 0
  const report = (position?: number, why = ''): ChainReport => ({
    entries,
    from: { position: from.position, hash: from.hash },
    to: { position: to.position, hash: to.hash },
    broken: position === undefined ? undefined : { position, why },
  })
  if (forged) return report(forged.position, 'this checkpoint is not signed by a key of this registry')
  const told = new Map(checkpoints.map(({ position, hash }) => [position, hash]))
  const end = checkpoints.at(-1)?.position ?? from.position
  for await (const entry of entriesAfter(from.position)) {
    const place = placeAfter(to, entry)
    if (entry.position !== place.position) return report(place.position, 'an entry is missing')
    if (entry.hash !== place.hash) return report(place.position, 'this entry was changed')
    if ((told.get(place.position) ?? place.hash) !== place.hash)
      return report(place.position, 'the chain is another one than was signed here')
    if (noted?.position === place.position && noted.hash !== place.hash)
      return report(place.position, 'the chain is another one than was noted')
    if (place.position > end) return report(place.position, 'this entry is not signed for')
    to = place
    entries += 1
  }
  if (to.position < end) return report(to.position + 1, 'an entry is missing')
  if (noted && noted.position > to.position)
    return report(to.position + 1, 'the log ends before the place that was noted')
  return report()
}
