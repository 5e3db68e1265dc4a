// What a pass over a tree of link files asks of the facts: everything of a repository in pages, and what our own events
// touched meanwhile.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

const touchedTag = hot<{ repository: string; after: number; tag: string }>()((db, p) =>
  db
    .selectFrom('events')
    .select('id')
    .where('repository', '=', p.repository)
    .where('id', '>', p.after)
    .where('tag', '=', p.tag)
    .where('kind', 'in', ['manifest.pushed', 'tag.deleted'])
    .limit(1),
)

const touchedDigest = hot<{ repository: string; after: number; digest: string }>()((db, p) =>
  db
    .selectFrom('events')
    .select('id')
    .where('repository', '=', p.repository)
    .where('id', '>', p.after)
    .where('digest', '=', p.digest)
    .where('kind', 'in', [
      'manifest.pushed',
      'manifest.deleted',
      'blob.pushed',
      'blob.mounted',
      'blob.deleted',
    ])
    .limit(1),
)

const tagsAfter = hot<{ repository: string; last: string; limit: number }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('tags as t', 't.repository_id', 'r.id')
    .select('t.name')
    .where('r.name', '=', p.repository)
    .where('t.name', '>', p.last)
    .orderBy('t.name')
    .limit(p.limit),
)

const manifestsAfter = hot<{ repository: string; last: string; limit: number }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('manifests as m', 'm.repository_id', 'r.id')
    .select('m.digest as name')
    .where('r.name', '=', p.repository)
    .where('m.digest', '>', p.last)
    .orderBy('m.digest')
    .limit(p.limit),
)

const blobsAfter = hot<{ repository: string; lastId: number; limit: number }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('repository_blobs as rb', 'rb.repository_id', 'r.id')
    .innerJoin('blobs as b', 'b.id', 'rb.blob_id')
    .select(['b.id', 'b.digest as name'])
    .where('r.name', '=', p.repository)
    .where('rb.blob_id', '>', p.lastId)
    .orderBy('rb.blob_id')
    .limit(p.limit),
)

const repositoriesAfter = hot<{ last: string; limit: number }>()((db, p) =>
  db.selectFrom('repositories').select('name').where('name', '>', p.last).orderBy('name').limit(p.limit),
)

const tagPushed = hot<{ repository: string; tag: string; digest: string }>()((db, p) =>
  db
    .selectFrom('events')
    .select('id')
    .where('repository', '=', p.repository)
    .where('kind', '=', 'manifest.pushed')
    .where('tag', '=', p.tag)
    .where('digest', '=', p.digest)
    .limit(1),
)

const anyBlob = hot<{ repository: string }>()((db, p) =>
  db
    .selectFrom('repositories as r')
    .innerJoin('repository_blobs as rb', 'rb.repository_id', 'r.id')
    .select('rb.blob_id')
    .where('r.name', '=', p.repository)
    .limit(1),
)

const PAGE = 500

/** Whether an event after that one moved or deleted the tag. */
export async function isTagTouched(
  db: Executor,
  repository: string,
  tag: string,
  after: number,
): Promise<boolean> {
  return (await db.first(touchedTag, { repository, tag, after })) !== undefined
}

/** Whether an event after that one pushed, mounted or deleted the content. */
export async function isDigestTouched(
  db: Executor,
  repository: string,
  digest: Digest,
  after: number,
): Promise<boolean> {
  return (await db.first(touchedDigest, { repository, digest, after })) !== undefined
}

/** Whether a push of ours, as far back as events are kept, pointed the tag at that digest. */
export async function wasTagPushed(
  db: Executor,
  repository: string,
  tag: string,
  digest: string,
): Promise<boolean> {
  return (await db.first(tagPushed, { repository, tag, digest })) !== undefined
}

export async function holdsBlobs(db: Executor, repository: string): Promise<boolean> {
  return (await db.first(anyBlob, { repository })) !== undefined
}

export async function* allTags(db: Executor, repository: string): AsyncGenerator<string> {
  yield* pages((last) => db.all(tagsAfter, { repository, last, limit: PAGE }))
}

export async function* allManifests(db: Executor, repository: string): AsyncGenerator<Digest> {
  yield* pages((last) => db.all(manifestsAfter, { repository, last, limit: PAGE })) as AsyncGenerator<Digest>
}

export async function* allBlobs(db: Executor, repository: string): AsyncGenerator<Digest> {
  for (let lastId = 0; ; ) {
    const rows = await db.all(blobsAfter, { repository, lastId, limit: PAGE })
    for (const row of rows) yield row.name as Digest
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    lastId = last.id
  }
}

export async function* allRepositories(db: Executor): AsyncGenerator<string> {
  yield* pages((last) => db.all(repositoriesAfter, { last, limit: PAGE }))
}

async function* pages(page: (last: string) => Promise<{ name: string }[]>): AsyncGenerator<string> {
  for (let last = ''; ; ) {
    const rows = await page(last)
    for (const { name } of rows) yield name
    const end = rows.at(-1)
    if (!end || rows.length < PAGE) return
    last = end.name
  }
}

/** A blob that turned out to have other bytes than the facts say: its size as found, and unverified until hashed. */
export async function setBlobFound(tx: Transaction, id: number, size: number): Promise<void> {
  await tx.kysely.updateTable('blobs').set({ size, verified_at: null }).where('id', '=', id).execute()
}
