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
}

interface BlobRow {
  id: number
  digest: string
  size: number
  verifiedAt: number | null
}

const COLUMNS = ['b.id', 'b.digest', 'b.size', 'b.verified_at as verifiedAt'] as const

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
    .select(COLUMNS)
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
    .select(COLUMNS)
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
      })),
    )
    .returning(['id']),
)

const insertAlias = hot<{ digest: string; blobId: number }>()((db, p) =>
  db
    .insertInto('blob_aliases')
    .values({ digest: p.digest, blob_id: p.blobId })
    .onConflict((conflict) => conflict.column('digest').doNothing()),
)

const insertLink = hot<{ repositoryId: number; blobId: number; now: number }>()((db, p) =>
  db
    .insertInto('repository_blobs')
    .values({ repository_id: p.repositoryId, blob_id: p.blobId, created_at: p.now })
    .onConflict((conflict) => conflict.columns(['repository_id', 'blob_id']).doNothing()),
)

const deleteLink = hot<{ repositoryId: number; blobId: number }>()((db, p) =>
  db
    .deleteFrom('repository_blobs')
    .where('repository_id', '=', p.repositoryId)
    .where('blob_id', '=', p.blobId),
)

const anyHolder = hot<{ blobId: number }>()((db, p) =>
  db
    .selectFrom('repository_blobs as rb')
    .innerJoin('repositories as r', 'r.id', 'rb.repository_id')
    .select('r.name')
    .where('rb.blob_id', '=', p.blobId)
    .limit(1),
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

/** The blob when this repository holds it. */
export async function findRepositoryBlob(
  db: Executor,
  repository: string,
  digest: Digest,
): Promise<BlobRecord | undefined> {
  const query = algorithmOf(digest) === 'sha256' ? inRepository : inRepositoryByAlias
  return record(await db.first(query, { repository, digest }))
}

/** Records bytes that are stored and synced; resolves to the id. */
export async function upsertBlob(
  tx: Transaction,
  blob: { digest: Digest; size: number; now: number; verifiedAt: number | null },
): Promise<number> {
  const row = await tx.first(insertBlob, blob)
  if (!row) throw new Error(`no row for blob ${blob.digest}`)
  return row.id
}

export async function addBlobAlias(tx: Transaction, alias: Digest, blobId: number): Promise<void> {
  await tx.run(insertAlias, { digest: alias, blobId })
}

/** Digests in other algorithms that name these bytes. */
export async function blobAliases(db: Executor, blobId: number): Promise<Digest[]> {
  const rows = await db.all(aliasesOf, { blobId })
  return rows.map((row) => row.digest as Digest)
}

export async function linkBlob(
  tx: Transaction,
  link: { repositoryId: number; blobId: number; now: number },
): Promise<void> {
  await tx.run(insertLink, link)
}

/** True when the repository held it. */
export async function unlinkBlob(tx: Transaction, repositoryId: number, blobId: number): Promise<boolean> {
  return (await tx.run(deleteLink, { repositoryId, blobId })) > 0
}

/** Name of one repository that holds the blob. */
export async function anyRepositoryHolding(db: Executor, blobId: number): Promise<string | undefined> {
  return (await db.first(anyHolder, { blobId }))?.name
}

export async function setBlobVerified(tx: Transaction, id: number, at: number | null): Promise<void> {
  await tx.run(setVerified, { id, at })
}

/** Forgets bytes that are gone, with every link to them. Manifests that need them stay: their pulls say what is missing. */
export async function forgetBlob(tx: Transaction, id: number): Promise<void> {
  await tx.kysely.deleteFrom('repository_blobs').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('manifest_blobs').where('blob_id', '=', id).execute()
  await tx.kysely.deleteFrom('manifests').where('blob_id', '=', id).execute()
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

/** Blobs in the order of their ids, for passes over all of them. */
export async function blobPage(db: Executor, afterId: number, limit: number): Promise<BlobRecord[]> {
  const rows = await db.kysely
    .selectFrom('blobs as b')
    .select(COLUMNS)
    .where('b.id', '>', afterId)
    .orderBy('b.id')
    .limit(limit)
    .execute()
  return rows as BlobRecord[]
}
