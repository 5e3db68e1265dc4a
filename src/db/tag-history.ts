// What a tag pointed at, out of the events: as far back as those of writes are kept.
import { sql } from 'kysely'
import type { Executor } from '#db/db.ts'
import type { Digest } from '#oci/digest.ts'

export interface TagMoment {
  readonly id: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly kind: 'manifest.pushed' | 'tag.deleted'
  /** What it points at from then on; for a delete, what it pointed at. */
  readonly digest: Digest
  readonly actor: string | null
}

/** Word for word the condition of the index events_tags. */
const OF_TAGS = sql<boolean>`kind in ('manifest.pushed', 'tag.deleted') and tag is not null`

/** Newest first, those with a smaller id than `before`. */
export async function tagHistory(
  db: Executor,
  of: { readonly repository: string; readonly tag: string; readonly before: number; readonly limit: number },
): Promise<TagMoment[]> {
  const rows = await db.kysely
    .selectFrom('events')
    .select(['id', 'at', 'kind', 'digest', 'actor'])
    .where('repository', '=', of.repository)
    .where('tag', '=', of.tag)
    .where('id', '<', of.before)
    .where('digest', 'is not', null)
    .where(OF_TAGS)
    .orderBy('id', 'desc')
    .limit(of.limit)
    .execute()
  return rows as TagMoment[]
}

/** Tags that went with a manifest when it was deleted, or were deleted from it since. */
export async function tagsDeletedFrom(
  db: Executor,
  of: {
    readonly repository: string
    readonly digest: Digest
    readonly since: number
    readonly limit: number
  },
): Promise<string[]> {
  const rows = await db.kysely
    .selectFrom('events')
    .select('tag')
    .distinct()
    .where('repository', '=', of.repository)
    .where('digest', '=', of.digest)
    .where('kind', '=', 'tag.deleted')
    .where('at', '>=', of.since)
    .where('tag', 'is not', null)
    .orderBy('tag')
    .limit(of.limit)
    .execute()
  return rows.flatMap(({ tag }) => (tag === null ? [] : [tag]))
}

export interface DeletedTag {
  readonly tag: string
  /** What it pointed at. */
  readonly digest: Digest
  readonly deletedAt: number
  readonly deletedBy: string | null
}

/** Tags that are not there now, by name after `last`; the last deletion of each since a time. */
export async function deletedTags(
  db: Executor,
  of: { readonly repository: string; readonly since: number; readonly last: string; readonly limit: number },
): Promise<DeletedTag[]> {
  const rows = await db.kysely
    .selectFrom('events as e')
    .innerJoin(
      (query) =>
        query
          .selectFrom('events')
          .select((select) => ['tag', select.fn.max('id').as('id')])
          .where('repository', '=', of.repository)
          .where('tag', '>', of.last)
          .where('kind', '=', 'tag.deleted')
          .where('at', '>=', of.since)
          .where('digest', 'is not', null)
          .where(OF_TAGS)
          .where('tag', 'not in', (present) =>
            present
              .selectFrom('tags as t')
              .innerJoin('repositories as r', 'r.id', 't.repository_id')
              .select('t.name')
              .where('r.name', '=', of.repository),
          )
          .groupBy('tag')
          .orderBy('tag')
          .limit(of.limit)
          .as('last'),
      (join) => join.onRef('last.id', '=', 'e.id'),
    )
    .select(['e.tag', 'e.digest', 'e.at as deletedAt', 'e.actor as deletedBy'])
    .orderBy('e.tag')
    .execute()
  return rows as DeletedTag[]
}
