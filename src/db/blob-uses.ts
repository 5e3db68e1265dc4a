// When blobs were last used: pushed, linked, or pulled with a manifest that needs them.
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

/**
 * The last use of each blob that has a row and lives, milliseconds since 1970. A manifest that is pulled uses its config and its
 * layers; one that is kept, but deleted for its users, no longer does.
 */
export async function lastUses(db: Executor, digests: readonly Digest[]): Promise<Map<Digest, number>> {
  const uses = new Map<Digest, number>()
  if (digests.length === 0) return uses
  const blobs = () =>
    db.kysely.selectFrom('blobs as b').where('b.digest', 'in', digests).where('b.condemned_at', 'is', null)
  const links = blobs()
    .leftJoin('repository_blobs as l', 'l.blob_id', 'b.id')
    .select(({ fn }) => ['b.digest', fn.max('b.created_at').as('made'), fn.max('l.created_at').as('used')])
    .groupBy('b.digest')
  const own = blobs()
    .innerJoin('manifests as m', 'm.blob_id', 'b.id')
    .leftJoin('pulls as p', (join) =>
      join.onRef('p.repository_id', '=', 'm.repository_id').onRef('p.name', '=', 'm.digest'),
    )
    .select(({ fn }) => ['b.digest', fn.max('m.created_at').as('made'), fn.max('p.pulled_at').as('used')])
    .groupBy('b.digest')
  const parts = blobs()
    .innerJoin('manifest_blobs as n', 'n.blob_id', 'b.id')
    .innerJoin('manifests as m', 'm.id', 'n.manifest_id')
    .leftJoin('pulls as p', (join) =>
      join.onRef('p.repository_id', '=', 'm.repository_id').onRef('p.name', '=', 'm.digest'),
    )
    .select(({ fn }) => ['b.digest', fn.max('m.created_at').as('made'), fn.max('p.pulled_at').as('used')])
    .groupBy('b.digest')
  for (const query of [links, own, parts])
    for (const { digest, made, used } of await query.execute()) {
      const last = Math.max(Number(made ?? 0), Number(used ?? 0))
      uses.set(digest as Digest, Math.max(uses.get(digest as Digest) ?? 0, last))
    }
  return uses
}
