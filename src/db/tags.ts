// Which manifest a tag points at.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { joinedNames, splitNames } from '#db/joined-names.ts'

const page = hot<{ repositoryId: number; last: string; limit: number }>()((db, p) =>
  db
    .selectFrom((from) =>
      from
        .selectFrom('tags')
        .select('name')
        .where('repository_id', '=', p.repositoryId)
        .where('name', '>', p.last)
        .orderBy('name')
        .limit(p.limit)
        .as('page'),
    )
    .select(joinedNames),
)

const upsert = hot<{ repositoryId: number; name: string; manifestId: number; now: number }>()((db, p) =>
  db
    .insertInto('tags')
    .values({
      repository_id: p.repositoryId,
      name: p.name,
      manifest_id: p.manifestId,
      created_at: p.now,
      updated_at: p.now,
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet((set) => ({
        manifest_id: set.ref('excluded.manifest_id'),
        updated_at: set.ref('excluded.updated_at'),
      })),
    ),
)

const remove = hot<{ repositoryId: number; name: string }>()((db, p) =>
  db.deleteFrom('tags').where('repository_id', '=', p.repositoryId).where('name', '=', p.name),
)

const ofManifest = hot<{ manifestId: number }>()((db, p) =>
  db.selectFrom('tags').select('name').where('manifest_id', '=', p.manifestId),
)

/** Names in byte order, after `last` exclusively. */
export async function tagPage(
  db: Executor,
  repositoryId: number,
  last: string,
  limit: number,
): Promise<string[]> {
  return splitNames(await db.first(page, { repositoryId, last, limit }))
}

export async function setTag(
  tx: Transaction,
  tag: { repositoryId: number; name: string; manifestId: number; now: number },
): Promise<void> {
  await tx.run(upsert, tag)
}

/** True when the tag was there. */
export async function deleteTag(tx: Transaction, repositoryId: number, name: string): Promise<boolean> {
  return (await tx.run(remove, { repositoryId, name })) > 0
}

export async function tagsOfManifest(db: Executor, manifestId: number): Promise<string[]> {
  const rows = await db.all(ofManifest, { manifestId })
  return rows.map((row) => row.name)
}
