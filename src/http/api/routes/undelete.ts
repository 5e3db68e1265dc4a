// What was deleted and can come back; what tags pointed at; images that must go at once.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import { named, page } from '#http/api/answers.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { listOf, time } from '#http/api/schemas.ts'
import { isDigest, parseDigest } from '#oci/digest.ts'
import { parseReference, parseTag } from '#oci/reference.ts'
import { purgeManifest } from '#registry/purge.ts'
import {
  listDeleted,
  listDeletedTags,
  listTagHistory,
  restoreManifest,
  restoreTag,
  rollBackTag,
} from '#registry/undelete.ts'

const deleted = z.object({
  digest: z.string(),
  mediaType: z.string(),
  size: z.int(),
  deletedAt: time,
  deletedBy: z.string().nullable(),
})
const deletedTag = z.object({
  tag: z.string(),
  digest: z.string(),
  deletedAt: time,
  deletedBy: z.string().nullable(),
})
const moment = z.object({
  at: time,
  event: z.enum(['pushed', 'deleted']),
  digest: z.string(),
  /** Whether it is in the repository, was deleted and can be restored, or is gone. */
  state: z.enum(['present', 'deleted', 'gone']),
  actor: z.string().nullable(),
})
const restored = z.object({ digest: z.string(), tags: z.array(z.string()) })
const digestText = z.string().max(140)

export const UNDELETE_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository/deleted',
    needs: 'delete',
    about: 'Lists manifests that were deleted and can be restored, by digest.',
    isList: true,
    reply: listOf(deleted),
    async handle({ registry, repository, paging }) {
      const rows = await listDeleted(registry, repository, { last: paging.after, limit: paging.limit + 1 })
      const items = rows.slice(0, paging.limit)
      const next = rows.length > items.length ? items.at(-1)?.digest : undefined
      const views = items.map(({ digest, mediaType, size, deletedAt, deletedBy }) => ({
        ...{ digest, mediaType, size, deletedBy },
        deletedAt: timeText(deletedAt),
      }))
      return page({ items: views, next })
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository/deleted-tags',
    needs: 'delete',
    about:
      'Lists tags that were deleted and are not there, by name; each can be restored while its manifest is there or can be.',
    isList: true,
    reply: listOf(deletedTag),
    async handle({ registry, repository, paging }) {
      const rows = await listDeletedTags(registry, repository, {
        last: paging.after,
        limit: paging.limit + 1,
      })
      const items = rows.slice(0, paging.limit)
      const next = rows.length > items.length ? items.at(-1)?.tag : undefined
      const views = items.map((row) => ({ ...row, deletedAt: timeText(row.deletedAt) }))
      return page({ items: views, next })
    },
  }),
  contentRoute({
    method: 'POST',
    path: '/repositories/:repository/restore',
    needs: 'delete',
    about: 'Restores a deleted manifest with the tags that went with it, or one deleted tag.',
    body: z.strictObject({ digest: digestText.optional(), tag: z.string().max(128).optional() }),
    reply: restored,
    async handle({ registry, caller, repository, body }) {
      if ((body.digest === undefined) === (body.tag === undefined))
        throw new Refusal('invalid', 'name a digest or a tag')
      const back =
        body.digest === undefined
          ? await restoreTag(registry, caller, repository, parseTag(body.tag ?? ''))
          : await restoreManifest(registry, caller, repository, parseDigest(body.digest))
      return { status: 201, body: back }
    },
  }),
  contentRoute({
    method: 'POST',
    path: '/repositories/:repository/purge',
    needs: 'delete',
    about:
      'Deletes an image for good and at once, with the bytes that nothing else holds: for a secret that leaked.',
    body: z.strictObject({ reference: digestText }),
    reply: z.object({ digest: z.string(), blobs: z.int(), bytes: z.int() }),
    async handle({ registry, caller, repository, body }) {
      const purged = await purgeManifest(registry, caller, repository, parseReference(body.reference))
      return { status: 201, body: purged }
    },
  }),
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository/tags/:tag/history',
    needs: 'pull',
    about: 'Lists what a tag pointed at, newest first, as far back as events of writes are kept.',
    isList: true,
    reply: listOf(moment),
    async handle({ registry, repository, parameters, paging }) {
      const before = paging.after === '' ? Number.MAX_SAFE_INTEGER : Number(paging.after)
      if (!Number.isSafeInteger(before))
        throw new Refusal('invalid', 'after must be what the link to this page says')
      const tag = parseTag(named(parameters, 'tag'))
      const rows = await listTagHistory(registry, repository, tag, { before, limit: paging.limit + 1 })
      const items = rows.slice(0, paging.limit)
      const last = items.at(-1)
      const views = items.map(({ at, kind, digest, state, actor }) => ({
        ...{ digest, state, actor },
        at: timeText(at),
        event: kind === 'tag.deleted' ? 'deleted' : 'pushed',
      }))
      return page({ items: views, next: rows.length > items.length && last ? String(last.id) : undefined })
    },
  }),
  contentRoute({
    method: 'POST',
    path: '/repositories/:repository/tags/:tag/rollback',
    needs: 'delete',
    about: 'Points a tag at an earlier digest of its history, or at the last one that was another.',
    body: z.strictObject({ digest: digestText.optional() }),
    reply: restored,
    async handle({ registry, caller, repository, parameters, body }) {
      const { digest } = body
      if (digest !== undefined && !isDigest(digest)) throw new Refusal('invalid', 'digest must be one')
      const tag = parseTag(named(parameters, 'tag'))
      return { status: 201, body: await rollBackTag(registry, caller, repository, tag, digest) }
    },
  }),
]
