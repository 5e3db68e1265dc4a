// Bytes in the store that no facts know: a crash between the bytes and the facts of a push leaves them. They get a row that is
// condemned, and go the way of all garbage: a push of the same bytes takes it back.
import type { Transaction } from '#db/db.ts'
import { condemnFile, unknownDigests } from '#db/garbage.ts'
import { blobLock } from '#db/locks.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import type { GcTally } from '#maintenance/gc/gc-report.ts'
import type { Digest } from '#oci/digest.ts'

const FILES_PER_LOOK = 500

interface File {
  readonly digest: Digest
  readonly size: number
  readonly modifiedAt: number
}

export interface OrphanOptions {
  /** Files written after this time may belong to a push that is under way. Milliseconds since 1970. */
  readonly before: number
  readonly dryRun: boolean
  readonly signal: AbortSignal
}

export async function condemnOrphanFiles(
  collector: Collector,
  tally: GcTally,
  { before, dryRun, signal }: OrphanOptions,
): Promise<void> {
  let files: File[] = []
  for await (const file of collector.listing?.blobs() ?? []) {
    signal.throwIfAborted()
    if (file.modifiedAt > before) continue
    files.push(file)
    if (files.length < FILES_PER_LOOK) continue
    await condemnUnknown(collector, tally, files, dryRun)
    files = []
  }
  if (files.length > 0) await condemnUnknown(collector, tally, files, dryRun)
}

async function condemnUnknown(
  { registry, clock }: Collector,
  tally: GcTally,
  files: readonly File[],
  dryRun: boolean,
): Promise<void> {
  const { db } = registry
  const unknown = await unknownDigests(
    db,
    files.map(({ digest }) => digest),
  )
  for (const { digest, size } of files.filter((file) => unknown.has(file.digest))) {
    const condemn = async (tx: Transaction) => condemnFile(tx, { digest, size, now: await clock(tx) })
    const options = { durable: false, mayUseReserve: true, locks: [blobLock(digest)] }
    if (dryRun || (await db.transaction(condemn, options))) tally.add('file', size, null)
  }
}
