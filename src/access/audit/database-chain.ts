// The chain of the audit log as a database holds it, for whoever has the database.
import { publicKeysOf } from '#access/audit/audit-key.ts'
import type { SealedEntry } from '#access/audit/chain.ts'
import { type AuditEntryView, auditEntryView } from '#access/audit/entry-view.ts'
import type { Chain } from '#access/audit/verify-chain.ts'
import {
  type AuditEntryRecord,
  auditCheckpoints,
  auditEntriesAfter,
  auditKeys,
  unsealedAuditEntries,
} from '#db/audit.ts'
import type { Db } from '#db/db.ts'

const ENTRIES_PER_READ = 1_000
/** Of a registry that was cut off between two seals, which follow each other within seconds. */
const UNSEALED_MAX = 100_000

export async function auditedChain(db: Db): Promise<Chain> {
  const keys = (await auditKeys(db)).map(({ kid, publicJwk }) => ({ kid, jwk: JSON.parse(publicJwk) }))
  return {
    checkpoints: await auditCheckpoints(db),
    keys: publicKeysOf(keys),
    entriesAfter: (position) => sealedEntries(db, position) as AsyncGenerator<AuditEntryRecord & SealedEntry>,
  }
}

/** All entries, in the order of the chain; at the end those that no sealer has come to. */
export async function* auditEntryViews(db: Db): AsyncGenerator<AuditEntryView> {
  for await (const entry of sealedEntries(db, -1)) yield auditEntryView(entry)
  for (const entry of await unsealedAuditEntries(db, UNSEALED_MAX)) yield auditEntryView(entry)
}

async function* sealedEntries(db: Db, position: number): AsyncGenerator<AuditEntryRecord> {
  for (let last = position; ; ) {
    const entries = await auditEntriesAfter(db, last, ENTRIES_PER_READ)
    yield* entries
    last = entries.at(-1)?.position ?? last
    if (entries.length < ENTRIES_PER_READ) return
  }
}
