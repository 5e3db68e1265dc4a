// The chain of the audit log as a running registry serves it.
import type { JsonWebKey } from 'node:crypto'
import { publicKeysOf } from '#access/audit/audit-key.ts'
import { type AuditEntryView, sealedEntryOf } from '#access/audit/entry-view.ts'
import type { Chain } from '#access/audit/verify-chain.ts'
import type { AdminClient } from '#cli/admin-client.ts'
import type { AuditCheckpointRecord } from '#db/audit.ts'

interface Seals {
  readonly checkpoints: readonly (Omit<AuditCheckpointRecord, 'at'> & { readonly at: string })[]
  readonly keys: readonly { readonly kid: string; readonly jwk: JsonWebKey }[]
}

export async function servedChain(client: AdminClient): Promise<Chain> {
  const seals = (await client.send({ method: 'GET', path: '/audit/checkpoints' })) as Seals
  const checkpoints = seals.checkpoints.map((one) => ({ ...one, at: Date.parse(one.at) }))
  // What was sealed since is not signed by what we read.
  const end = checkpoints.at(-1)?.position ?? 0
  return {
    checkpoints,
    keys: publicKeysOf(seals.keys),
    async *entriesAfter(position) {
      for await (const items of client.pages(`/audit?sort=position&limit=1000&after=${position}`)) {
        for (const item of items as unknown as AuditEntryView[]) {
          const entry = sealedEntryOf(item)
          if (entry && entry.position > end) return
          if (entry) yield entry
        }
      }
    },
  }
}
