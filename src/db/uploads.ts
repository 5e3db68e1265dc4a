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
  /** Counts the requests that took the session to write to it, where several processes may. */
  readonly claims: number
  /** The claim that began the file of its bytes; 0 for the first. */
  readonly begun: number
  /** The process that writes now; null when none does. */
  readonly writer: string | null
  /** The run of the system in which `digest` was computed. */
  readonly boot: string | null
}

/** One request's hold on a session: good as long as the row still says so. */
export interface UploadClaim {
  readonly id: string
  readonly claims: number
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
  'claims',
  'begun',
  'writer',
  'boot',
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

const progress = hot<
  UploadClaim & { size: number; digest: string | null; boot: string | null; now: number }
>()((db, p) =>
  db
    .updateTable('uploads')
    .set({ size: p.size, digest: p.digest, boot: p.boot, updated_at: p.now, writer: null })
    .where('id', '=', p.id)
    .where('claims', '=', p.claims),
)

const claim = hot<{ id: string; writer: string; now: number }>()((db, p) =>
  db
    .updateTable('uploads')
    .set((set) => ({ writer: p.writer, claims: set('claims', '+', set.lit(1)), updated_at: p.now }))
    .where('id', '=', p.id)
    .where('writer', 'is', null)
    .returning(COLUMNS),
)

const seize = hot<UploadClaim & { writer: string; now: number }>()((db, p) =>
  db
    .updateTable('uploads')
    .set((set) => ({ writer: p.writer, claims: set('claims', '+', set.lit(1)), updated_at: p.now }))
    .where('id', '=', p.id)
    .where('claims', '=', p.claims)
    .returning(COLUMNS),
)

const beginAnew = hot<UploadClaim>()((db, p) =>
  db.updateTable('uploads').set({ begun: p.claims }).where('id', '=', p.id).where('claims', '=', p.claims),
)

const release = hot<UploadClaim>()((db, p) =>
  db.updateTable('uploads').set({ writer: null }).where('id', '=', p.id).where('claims', '=', p.claims),
)

const touch = hot<UploadClaim & { now: number }>()((db, p) =>
  db.updateTable('uploads').set({ updated_at: p.now }).where('id', '=', p.id).where('claims', '=', p.claims),
)

const free = hot<{ writer: string }>()((db, p) =>
  db.updateTable('uploads').set({ writer: null }).where('writer', '=', p.writer),
)

const freeAll = hot<Record<never, never>>()((db) =>
  db.updateTable('uploads').set({ writer: null }).where('writer', 'is not', null),
)

const remove = hot<UploadClaim>()((db, p) =>
  db.deleteFrom('uploads').where('id', '=', p.id).where('claims', '=', p.claims),
)

const count = hot<Record<never, never>>()((db) =>
  db.selectFrom('uploads').select((select) => select.fn.countAll<number>().as('count')),
)

export async function findUpload(db: Executor, id: string): Promise<UploadRecord | undefined> {
  return (await db.first(byId, { id })) as UploadRecord | undefined
}

export async function insertUpload(
  tx: Transaction,
  upload: { id: string; repository: string; algorithm: DigestAlgorithm; actor: string | null; now: number },
): Promise<void> {
  await tx.run(insert, upload)
}

/** Says how far the upload has come, and that its request is done. False when another request has taken the session. */
export async function recordUploadProgress(
  tx: Transaction,
  upload: UploadClaim & { size: number; digest: Digest | null; boot: string | null; now: number },
): Promise<boolean> {
  return (await tx.run(progress, upload)) > 0
}

/** Takes a session that nobody writes to; undefined when somebody does, or there is none. */
export async function claimUpload(
  tx: Transaction,
  wanted: { id: string; writer: string; now: number },
): Promise<UploadRecord | undefined> {
  return (await tx.first(claim, wanted)) as UploadRecord | undefined
}

/** Takes a session from whoever has it as `seen`; undefined when it is not so any more. */
export async function seizeUpload(
  tx: Transaction,
  seen: UploadClaim & { writer: string; now: number },
): Promise<UploadRecord | undefined> {
  return (await tx.first(seize, seen)) as UploadRecord | undefined
}

/** The bytes lie in a file of this claim from now on. False when another request has taken the session. */
export async function beginUploadAnew(tx: Transaction, claim: UploadClaim): Promise<boolean> {
  return (await tx.run(beginAnew, claim)) > 0
}

/** Nobody writes any more, and what the row says of the bytes stays. */
export async function releaseUpload(tx: Transaction, claim: UploadClaim): Promise<void> {
  await tx.run(release, claim)
}

/** Says that its request lives. False when another request has taken the session. */
export async function touchUpload(
  tx: Transaction,
  claim: UploadClaim & { readonly now: number },
): Promise<boolean> {
  return (await tx.run(touch, claim)) > 0
}

/** Frees what a process held that is known to be gone. */
export async function freeUploadsOf(tx: Transaction, writer: string): Promise<number> {
  return tx.run(free, { writer })
}

/** Frees everything: for whoever knows that no other process is there. */
export async function freeAllUploads(tx: Transaction): Promise<number> {
  return tx.run(freeAll, {})
}

/** True when the session was there, as it was claimed. */
export async function deleteUpload(tx: Transaction, claim: UploadClaim): Promise<boolean> {
  return (await tx.run(remove, claim)) > 0
}

/** How many sessions are open. */
export async function countUploads(db: Executor): Promise<number> {
  return Number((await db.first(count, {}))?.count ?? 0)
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
