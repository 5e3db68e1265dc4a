// Repositories: browsed by whoever may pull, deleted by whoever may delete.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { REPOSITORY_SORTS } from '#db/repository-figures.ts'
import { gone, page } from '#http/api/answers.ts'
import { cursorFrom, cursorText, orderOf, sortsOf } from '#http/api/cursors.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { count, filterText, listOf, repositoryName, text, time } from '#http/api/schemas.ts'
import {
  deleteRepository,
  describeRepository,
  listRepositoryOverviews,
  type RepositoryOverview,
} from '#registry/overview/repositories.ts'

const repository = z.object({
  name: repositoryName,
  project: text,
  /** Bytes of its blobs and manifests, each counted once. Null until it was counted for the first time. */
  size: count.nullable(),
  tags: count.nullable(),
  manifests: count.nullable(),
  createdAt: time,
  pushedAt: time.nullable(),
  pulledAt: time.nullable(),
})

const place = z.tuple([z.union([z.string(), z.number()]), z.int()])

function viewOf({ id: _, createdAt, pushedAt, pulledAt, ...others }: RepositoryOverview) {
  return {
    ...others,
    createdAt: timeText(createdAt),
    pushedAt: timeText(pushedAt || null),
    pulledAt: timeText(pulledAt),
  }
}

export const REPOSITORY_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/repositories',
    needs: 'visitor',
    about:
      'Lists the repositories that you may pull from. `name` is a part of the name. A page of a filter that matches little may hold fewer than asked for, and go on.',
    isList: true,
    query: z.strictObject({
      project: filterText.optional(),
      name: filterText.optional(),
      sort: sortsOf(REPOSITORY_SORTS).default('name'),
    }),
    reply: listOf(repository),
    async handle({ registry, overview, readable, query, paging }) {
      await overview.figures.refresh()
      const after = cursorFrom(paging.after, place)
      const { items, next } = await listRepositoryOverviews(registry, await readable(), {
        ...orderOf(query.sort),
        project: query.project,
        name: query.name,
        after: after && { value: after[0], id: after[1] },
        limit: paging.limit,
      })
      return page({ items: items.map(viewOf), next: next && cursorText([next.value, next.id]) })
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository',
    needs: 'pull',
    about: 'Shows a repository. Its name is one part of the address, with `%2F` for `/`.',
    reply: repository,
    async handle({ registry, overview, repository }) {
      await overview.figures.refresh()
      return { status: 200, body: viewOf(await describeRepository(registry, repository)) }
    },
  }),
  contentRoute({
    method: 'DELETE',
    path: '/repositories/:repository',
    needs: 'delete',
    about:
      'Deletes a repository: its tags, its manifests, its hold on blobs. A rule that keeps a tag stops it there.',
    async handle({ registry, caller, repository }) {
      await deleteRepository(registry, caller, repository)
      return gone
    },
  }),
]
