// Upload sessions: what an open upload belongs to, and how far it had come at the end of its last request.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Digest, DigestAlgorithm } from '#oci/digest.ts'

export interface UploadRecord {
  readonly id: string
  readonly repository: string
  readonly algorithm: DigestAlgorithm
  /** Bytes at the end of the last request. */
  readonly size: number
  /** Digest of those bytes in `algorithm`; null when unknown. */
  readonly digest: Digest | null
  readonly actor: string | null
  readonly createdAt: number
  readonly updatedAt: number
}

const COLUMNS = [
  'id',
  'repository',
  'algorithm',
  'size',
  'digest',
  'actor',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

const byId = hot<{ id: string }>()((db, p) => db.selectFrom('uploads').select(COLUMNS).where('id', '=', p.id))

const insert = hot<{
  id: string
  repository: string
  algorithm: string
  actor: string | null
  now: number
}>()((db, p) =>
  db.insertInto('uploads').values({
    id: p.id,
    repository: p.repository,
    algorithm: p.algorithm,
    size: 0,
    digest: null,
    actor: p.actor,
    created_at: p.now,
    updated_at: p.now,
  }),
)

const progress = hot<{ id: string; size: number; digest: string | null; now: number }>()((db, p) =>
  db.updateTable('uploads').set({ size: p.size, digest: p.digest, updated_at: p.now }).where('id', '=', p.id),
)

const remove = hot<{ id: string }>()((db, p) => db.deleteFrom('uploads').where('id', '=', p.id))

export async function findUpload(db: Executor, id: string): Promise<UploadRecord | undefined> {
  return (await db.first(byId, { id })) as UploadRecord | undefined
}

export async function insertUpload(
  tx: Transaction,
  upload: { id: string; repository: string; algorithm: DigestAlgorithm; actor: string | null; now: number },
): Promise<void> {
  await tx.run(insert, upload)
}

export async function recordUploadProgress(
  tx: Transaction,
  upload: { id: string; size: number; digest: Digest | null; now: number },
): Promise<void> {
  await tx.run(progress, upload)
}

/** True when the session was there. */
export async function deleteUpload(tx: Transaction, id: string): Promise<boolean> {
  return (await tx.run(remove, { id })) > 0
}

export async function countUploads(db: Executor): Promise<number> {
  const row = await db.kysely
    .selectFrom('uploads')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Sessions without progress since a time, oldest first. */
export async function staleUploads(db: Executor, before: number, limit: number): Promise<UploadRecord[]> {
  const rows = await db.kysely
    .selectFrom('uploads')
    .select(COLUMNS)
    .where('updated_at', '<', before)
    .orderBy('updated_at')
    .limit(limit)
    .execute()
  return rows as UploadRecord[]
}

/** Every open session; bounded by the number that may be open. */
export async function uploadIds(db: Executor): Promise<string[]> {
  const rows = await db.kysely.selectFrom('uploads').select('id').execute()
  return rows.map((row) => row.id)
}
