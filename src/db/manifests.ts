// Manifests of a repository, what they refer to, and what refers to them.
import type { Kysely } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Tables } from '#db/schema.ts'
import { together } from '#lib/together.ts'
import type { Digest } from '#oci/digest.ts'

export interface ManifestRecord {
  readonly id: number
  /** The digest it was pushed by. */
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
  /** sha256 of its bytes, where they are stored. */
  readonly blobDigest: Digest
}

export interface ReferrerRecord {
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
  readonly artifactType: string | null
  /** JSON object of strings, or null. */
  readonly annotations: string | null
}

export interface NewManifest {
  readonly repositoryId: number
  readonly digest: Digest
  readonly blobId: number
  readonly mediaType: string
  readonly size: number
  readonly artifactType: string | null
  readonly subject: Digest | null
  readonly annotations: string | null
  readonly now: number
  /** Name of the user who pushed it, where there is one. */
  readonly pusher?: string | undefined
}

const COLUMNS = ['m.id', 'm.digest', 'm.media_type as mediaType', 'm.size', 'b.digest as blobDigest'] as const

const byDigest = hot<{ repository: string; digest: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('manifests as m', 'm.repository_id', 'r.id')
    .innerJoin('blobs as b', 'b.id', 'm.blob_id')
    .select(COLUMNS)
    .where('r.name', '=', p.repository)
    .where('m.digest', '=', p.digest),
)

const byTag = hot<{ repository: string; tag: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('tags as t', 't.repository_id', 'r.id')
    .innerJoin('manifests as m', 'm.id', 't.manifest_id')
    .innerJoin('blobs as b', 'b.id', 'm.blob_id')
    .select(COLUMNS)
    .where('r.name', '=', p.repository)
    .where('t.name', '=', p.tag),
)

const insertManifest = hot<Omit<NewManifest, 'pusher'> & { readonly pusher: string | null }>()((db, p) =>
  db
    .insertInto('manifests')
    .values({
      repository_id: p.repositoryId,
      digest: p.digest,
      blob_id: p.blobId,
      media_type: p.mediaType,
      size: p.size,
      artifact_type: p.artifactType,
      subject: p.subject,
      annotations: p.annotations,
      created_at: p.now,
      pushed_by: db.selectFrom('users').select('id').where('name', '=', p.pusher),
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'digest']).doUpdateSet((set) => ({
        media_type: set.ref('excluded.media_type'),
        artifact_type: set.ref('excluded.artifact_type'),
        subject: set.ref('excluded.subject'),
        annotations: set.ref('excluded.annotations'),
      })),
    )
    .returning(['id']),
)

const insertBlobReference = hot<{ manifestId: number; blobId: number }>()((db, p) =>
  db
    .insertInto('manifest_blobs')
    .values({ manifest_id: p.manifestId, blob_id: p.blobId })
    .onConflict((conflict) => conflict.doNothing()),
)

const insertChild = hot<{ manifestId: number; digest: string }>()((db, p) =>
  db
    .insertInto('manifest_children')
    .values({ manifest_id: p.manifestId, digest: p.digest })
    .onConflict((conflict) => conflict.doNothing()),
)

const insertMissing = hot<{ manifestId: number; digest: string }>()((db, p) =>
  db
    .insertInto('manifest_missing')
    .values({ manifest_id: p.manifestId, digest: p.digest })
    .onConflict((conflict) => conflict.doNothing()),
)

const deleteById = hot<{ id: number }>()((db, p) => db.deleteFrom('manifests').where('id', '=', p.id))

interface ReferrerParameters {
  readonly repository: string
  readonly subject: string
  readonly last: string
  readonly limit: number
}

function referrerRows(db: Kysely<Tables>, p: ReferrerParameters) {
  return db
    .selectFrom('repositories as r')
    .innerJoin('manifests as m', 'm.repository_id', 'r.id')
    .select([
      'm.digest',
      'm.media_type as mediaType',
      'm.size',
      'm.artifact_type as artifactType',
      'm.annotations',
    ])
    .where('r.name', '=', p.repository)
    .where('m.subject', '=', p.subject)
    .where('m.digest', '>', p.last)
    .orderBy('m.digest')
    .limit(p.limit)
}

const referrers = hot<ReferrerParameters>()(referrerRows)

const referrersOfType = hot<ReferrerParameters & { artifactType: string }>()((db, p) =>
  referrerRows(db, p).where('m.artifact_type', '=', p.artifactType),
)

export async function findManifest(
  db: Executor,
  repository: string,
  digest: Digest,
): Promise<ManifestRecord | undefined> {
  return (await db.first(byDigest, { repository, digest })) as ManifestRecord | undefined
}

export async function findTaggedManifest(
  db: Executor,
  repository: string,
  tag: string,
): Promise<ManifestRecord | undefined> {
  return (await db.first(byTag, { repository, tag })) as ManifestRecord | undefined
}

/** Adds a manifest, or brings the facts of one that is there up to date; resolves to its id. */
export async function upsertManifest(
  tx: Transaction,
  manifest: NewManifest,
  references: {
    readonly blobIds: readonly number[]
    readonly children: readonly Digest[]
    /** Config and layers that are not stored: should they come later, they are needed. */
    readonly missing: readonly Digest[]
  },
): Promise<number> {
  const row = await tx.first(insertManifest, { ...manifest, pusher: manifest.pusher ?? null })
  if (!row) throw new Error(`no row for manifest ${manifest.digest}`)
  const manifestId = row.id
  await together([
    ...references.blobIds.map((blobId) => tx.run(insertBlobReference, { manifestId, blobId })),
    ...references.children.map((child) => tx.run(insertChild, { manifestId, digest: child })),
    ...references.missing.map((absent) => tx.run(insertMissing, { manifestId, digest: absent })),
  ])
  return row.id
}

/** Its tags go with it. */
export async function deleteManifest(tx: Transaction, id: number): Promise<void> {
  await tx.run(deleteById, { id })
}

/** Manifests whose subject is that digest, by digest after `last`; only of the artifact type where one is given. */
export async function referrerPage(
  db: Executor,
  repository: string,
  subject: Digest,
  page: { readonly artifactType?: string | undefined; readonly last: string; readonly limit: number },
): Promise<ReferrerRecord[]> {
  const { artifactType, last, limit } = page
  const rows =
    artifactType === undefined
      ? await db.all(referrers, { repository, subject, last, limit })
      : await db.all(referrersOfType, { repository, subject, artifactType, last, limit })
  return rows as ReferrerRecord[]
}
