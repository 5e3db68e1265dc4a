// Blobs that are stored, their aliases in other algorithms, and which repository holds which.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { algorithmOf, type Digest } from '#oci/digest.ts'

export interface BlobRecord {
  readonly id: number
  /** sha256: the name of the bytes. */
  readonly digest: Digest
  readonly size: number
  /** Null: another program wrote it, and nobody has hashed it yet. */
  readonly verifiedAt: number | null
  /** Since when nothing was seen to need it; null while it lives. Who needs it revives it in the same transaction. */
  readonly condemnedAt: number | null
  /** Since when its bytes are deleted, 0 before that. No repository holds it then. */
  readonly deleting: number
}

/** A blob as a repository holds it. */
export interface HeldBlobRecord extends BlobRecord {
  /** The same for what this repository holds. */
  readonly linkCondemnedAt: number | null
}

interface BlobRow {
  id: number
  digest: string
  size: number
  verifiedAt: number | null
  condemnedAt: number | null
  deleting: number
}

const COLUMNS = [
  'b.id',
  'b.digest',
  'b.size',
  'b.verified_at as verifiedAt',
  'b.condemned_at as condemnedAt',
  'b.deleting',
] as const
const HELD_COLUMNS = [...COLUMNS, 'rb.condemned_at as linkCondemnedAt'] as const

/** The bytes of the blob are being deleted: wait for the end of that, store them again, then try again. */
export class BlobGoing extends Error {
  override readonly name = 'BlobGoing'
  readonly digest: Digest

  constructor(digest: Digest) {
    super(`${digest} is being deleted`)
    this.digest = digest
  }
}

const byDigest = hot<{ digest: string }>()((db, p) =>
  db.selectFrom('blobs as b').select(COLUMNS).where('b.digest', '=', p.digest),
)

const byAlias = hot<{ digest: string }>()((db, p) =>
  db
    .selectFrom('blob_aliases as a')
    .innerJoin('blobs as b', 'b.id', 'a.blob_id')
    .select(COLUMNS)
    .where('a.digest', '=', p.digest),
)

const inRepository = hot<{ repository: string; digest: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('blobs as b', (join) => join.on('b.digest', '=', p.digest))
    .innerJoin('repository_blobs as rb', (join) =>
      join.onRef('rb.repository_id', '=', 'r.id').onRef('rb.blob_id', '=', 'b.id'),
    )
    .select(HELD_COLUMNS)
    .where('r.name', '=', p.repository),
)

const inRepositoryByAlias = hot<{ repository: string; digest: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('blob_aliases as a', (join) => join.on('a.digest', '=', p.digest))
    .innerJoin('blobs as b', 'b.id', 'a.blob_id')
    .innerJoin('repository_blobs as rb', (join) =>
      join.onRef('rb.repository_id', '=', 'r.id').onRef('rb.blob_id', '=', 'b.id'),
    )
    .select(HELD_COLUMNS)
    .where('r.name', '=', p.repository),
)

const insertBlob = hot<{ digest: string; size: number; now: number; verifiedAt: number | null }>()((db, p) =>
  db
    .insertInto('blobs')
    .values({ digest: p.digest, size: p.size, created_at: p.now, verified_at: p.verifiedAt })
    .onConflict((conflict) =>
      conflict.column('digest').doUpdateSet((set) => ({
        size: set.ref('excluded.size'),
        verified_at: set.ref('excluded.verified_at'),
        condemned_at: null,
      })),
    )
    .returning(['id', 'deleting']),
)

const insertAlias = hot<{ digest: string; blobId: number }>()((db, p) =>
  db
    .insertInto('blob_aliases')
    .values({ digest: p.digest, blob_id: p.blobId })
    .onConflict((conflict) => conflict.column('digest').doNothing()),
)

interface LinkParameters {
  readonly repositoryId: number
  readonly blobId: number
  readonly now: number
  readonly pusher: string | null
}

const insertLink = hot<LinkParameters>()((db, p) =>
  db
    .insertInto('repository_blobs')
    .values({
      repository_id: p.repositoryId,
      blob_id: p.blobId,
      created_at: p.now,
      pushed_by: db.selectFrom('users').select('id').where('name', '=', p.pusher),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'blob_id'])
        .doUpdateSet({ condemned_at: null })
        .where('repository_blobs.condemned_at', 'is not', null),
    ),
)

const revive = hot<{ id: number }>()((db, p) =>
  db.updateTable('blobs').set({ condemned_at: null }).where('id', '=', p.id).where('deleting', '=', 0),
)

const deleteLink = hot<{ repositoryId: number; blobId: number }>()((db, p) =>
  db
    .deleteFrom('repository_blobs')
    .where('repository_id', '=', p.repositoryId)
    .where('blob_id', '=', p.blobId),
)

const holders = hot<{ blobId: number; limit: number }>()((db, p) =>
  db
    .selectFrom('repository_blobs as rb')
    .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
    .select('r.name')
    .where('rb.blob_id', '=', p.blobId)
    .limit(p.limit),
)

const aliasesOf = hot<{ blobId: number }>()((db, p) =>
  db.selectFrom('blob_aliases').select('digest').where('blob_id', '=', p.blobId),
)

const setVerified = hot<{ id: number; at: number | null }>()((db, p) =>
  db.updateTable('blobs').set({ verified_at: p.at }).where('id', '=', p.id),
)

function record(row: BlobRow | undefined): BlobRecord | undefined {
  return row as BlobRecord | undefined
}

/** The stored bytes of that digest, in whatever repository. */
export async function findBlob(db: Executor, digest: Digest): Promise<BlobRecord | undefined> {
  const query = algorithmOf(digest) === 'sha256' ? byDigest : byAlias
  return record(await db.first(query, { digest }))
}

export async function blobsById(db: Executor, ids: readonly number[]): Promise<BlobRecord[]> {
  if (ids.length === 0) return []
  const rows = await db.kysely.selectFrom('blobs as b').select(COLUMNS).where('b.id', 'in', ids).execute()
  return rows as BlobRecord[]
}

/** The blob when this repository holds it. */
export async function findRepositoryBlob(
  db: Executor,
  repository: string,
  digest: Digest,
): Promise<HeldBlobRecord | undefined> {
  const query = algorithmOf(digest) === 'sha256' ? inRepository : inRepositoryByAlias
  return (await db.first(query, { repository, digest })) as HeldBlobRecord | undefined
}

/** Records bytes that are stored and synced, and keeps them; resolves to the id. @throws BlobGoing */
export async function upsertBlob(
  tx: Transaction,
  blob: { digest: Digest; size: number; now: number; verifiedAt: number | null },
): Promise<number> {
  const row = await tx.first(insertBlob, blob)
  if (!row) throw new Error(`no row for blob ${blob.digest}`)
  if (row.deleting) throw new BlobGoing(blob.digest)
  return row.id
}

/** Takes back what may be deleted soon. @throws BlobGoing when it is gone, or going */
export async function reviveBlob(tx: Transaction, blob: Pick<BlobRecord, 'id' | 'digest'>): Promise<void> {
  if ((await tx.run(revive, { id: blob.id })) === 0) throw new BlobGoing(blob.digest)
}

export async function addBlobAlias(tx: Transaction, alias: Digest, blobId: number): Promise<void> {
  await tx.run(insertAlias, { digest: alias, blobId })
}

/** Digests in other algorithms that name these bytes. */
export async function blobAliases(db: Executor, blobId: number): Promise<Digest[]> {
  const rows = await db.all(aliasesOf, { blobId })
  return rows.map((row) => row.digest as Digest)
}

/** `pusher` is the name of the user, where there is one. */
export async function linkBlob(
  tx: Transaction,
  link: { repositoryId: number; blobId: number; now: number; pusher?: string | undefined },
): Promise<void> {
  await tx.run(insertLink, { ...link, pusher: link.pusher ?? null })
}

/** True when the repository held it. */
export async function unlinkBlob(tx: Transaction, repositoryId: number, blobId: number): Promise<boolean> {
  return (await tx.run(deleteLink, { repositoryId, blobId })) > 0
}

/** Names of repositories that hold the blob, at most `limit`. */
export async function repositoriesHolding(db: Executor, blobId: number, limit: number): Promise<string[]> {
  return (await db.all(holders, { blobId, limit })).map(({ name }) => name)
}

export async function setBlobVerified(tx: Transaction, id: number, at: number | null): Promise<void> {
  await tx.run(setVerified, { id, at })
}

/**
 * Forgets bytes that are gone, with every link to them. Manifests that need them stay: their pulls say what is missing, and
 * should the bytes be pushed again, they are needed.
 */
export async function forgetBlob(tx: Transaction, id: number): Promise<void> {
  await tx.kysely
    .insertInto('manifest_missing')
    .columns(['manifest_id', 'digest'])
    .expression((query) =>
      query
        .selectFrom('manifest_blobs')
        .innerJoin('blobs', 'blobs.id', 'manifest_blobs.blob_id')
        .select(['manifest_blobs.manifest_id', 'blobs.digest'])
        .where('blobs.id', '=', id),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await tx.kysely.deleteFrom('repository_blobs').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('manifest_blobs').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('manifests').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('deleted_manifest_blobs').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('deleted_manifests').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('blobs').where('id', '=', id).execute()
}

/** Bytes and number of all blobs. */
export async function storedTotals(db: Executor): Promise<{ blobs: number; bytes: number }> {
  const row = await db.kysely
    .selectFrom('blobs')
    .select((select) => [select.fn.countAll<number>().as('blobs'), select.fn.sum<number>('size').as('bytes')])
    .executeTakeFirstOrThrow()
  return { blobs: Number(row.blobs), bytes: Number(row.bytes ?? 0) }
}

export type ScrubbedBlob = Pick<BlobRecord, 'id' | 'digest' | 'size'>

/** Blobs that live, by id, after one. */
export async function blobsAfter(db: Executor, after: number, limit: number): Promise<ScrubbedBlob[]> {
  const rows = await db.kysely
    .selectFrom('blobs')
    .select(['id', 'digest', 'size'])
    .where('id', '>', after)
    .where('condemned_at', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows as ScrubbedBlob[]
}
