// Tags of a repository.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { TAG_SORTS } from '#db/tag-details.ts'
import { gone, named, page } from '#http/api/answers.ts'
import { cursorFrom, cursorText, orderOf, sortsOf } from '#http/api/cursors.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { count, filterText, listOf, time } from '#http/api/schemas.ts'
import { parseTag } from '#oci/reference.ts'
import { deleteManifest } from '#registry/manifests.ts'
import { listTagOverviews, type TagOverview } from '#registry/overview/tags.ts'

/** Of each the manifest is read, and the config of an image. */
const TAGS_PER_PAGE_MAX = 100

const tag = z.object({
  name: z.string(),
  digest: z.string(),
  mediaType: z.string(),
  artifactType: z.string().nullable(),
  /** Bytes of the manifest and of all that it refers to, each counted once. */
  size: count,
  platforms: z.array(z.string()),
  createdAt: time,
  pushedAt: time,
  pulledAt: time.nullable(),
})

const place = z.tuple([z.string(), z.number()])

function viewOf(overview: TagOverview) {
  const { name, digest, mediaType, artifactType, size, platforms, createdAt, pushedAt, pulledAt } = overview
  return {
    ...{ name, digest, mediaType, artifactType, size, platforms },
    createdAt: timeText(createdAt),
    pushedAt: timeText(pushedAt),
    pulledAt: timeText(pulledAt),
  }
}

export const TAG_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository/tags',
    needs: 'pull',
    about: 'Lists the tags of a repository. `name` is a part of the name, `digest` what a tag points at.',
    isList: true,
    pageMax: TAGS_PER_PAGE_MAX,
    query: z.strictObject({
      name: filterText.optional(),
      digest: filterText.optional(),
      sort: sortsOf(TAG_SORTS).default('name'),
    }),
    reply: listOf(tag),
    async handle({ registry, repository, query, paging }) {
      const after = cursorFrom(paging.after, place)
      const { items, next } = await listTagOverviews(registry, repository, {
        ...orderOf(query.sort),
        name: query.name,
        digest: query.digest,
        after: after && { name: after[0], at: after[1] },
        limit: paging.limit,
      })
      return page({ items: items.map(viewOf), next: next && cursorText([next.name, next.at]) })
    },
  }),
  contentRoute({
    method: 'DELETE',
    path: '/repositories/:repository/tags/:tag',
    needs: 'delete',
    about: 'Deletes a tag; its manifest stays.',
    async handle({ registry, caller, repository, parameters }) {
      await deleteManifest(registry, caller, repository, { tag: parseTag(named(parameters, 'tag')) })
      return gone
    },
  }),
]
