// Tags as people look at them: what they point at, how large that is, for which platforms, when last pushed and pulled.
import { findRepository } from '#db/repositories.ts'
import { type TagDetail, type TagSort, tagDetails, totalSizes } from '#db/tag-details.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { platformsOfManifest } from '#registry/overview/image.ts'
import type { Registry } from '#registry/registry.ts'

const TAGS_PER_LOOK = 500
const LOOKED_AT_MAX = 20_000

export interface TagOverview extends TagDetail {
  /** Bytes of the manifest and all that it refers to. */
  readonly size: number
  readonly platforms: readonly string[]
}

export interface TagPlace {
  readonly name: string
  readonly at: number
}

export interface TagQuery {
  readonly sort: TagSort
  readonly isDescending: boolean
  readonly digest: string | undefined
  /** Part of the name. */
  readonly name: string | undefined
  readonly after: TagPlace | undefined
  readonly limit: number
}

/** @throws OciError NAME_UNKNOWN for a repository that never held a manifest */
export async function listTagOverviews(
  registry: Registry,
  repository: RepositoryName,
  query: TagQuery,
): Promise<{ readonly items: readonly TagOverview[]; readonly next: TagPlace | undefined }> {
  for (const upstream of registry.upstreams) {
    if (upstream.wants(repository, false)) await upstream.tags(repository)
  }
  const holder = await findRepository(registry.db, repository)
  if (!holder?.listed) throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
  const { limit, name = '' } = query
  const found: TagDetail[] = []
  let after = query.after
  let isEnd = false
  for (let looked = 0; !isEnd && found.length <= limit && looked < LOOKED_AT_MAX; looked += TAGS_PER_LOOK) {
    const rows = await tagDetails(registry.db, holder.id, query, { ...query, after, limit: TAGS_PER_LOOK })
    found.push(...rows.filter((row) => row.name.includes(name)))
    isEnd = rows.length < TAGS_PER_LOOK
    after = placeOf(rows.at(-1)) ?? after
  }
  const items = found.slice(0, limit)
  return {
    items: await withContent(registry, items),
    next: found.length > limit ? placeOf(items.at(-1)) : isEnd ? undefined : after,
  }
}

function placeOf(tag: TagDetail | undefined): TagPlace | undefined {
  return tag && { name: tag.name, at: tag.pushedAt }
}

async function withContent(registry: Registry, tags: readonly TagDetail[]): Promise<TagOverview[]> {
  const sizes = await totalSizes(registry.db, [...new Set(tags.map(({ manifestId }) => manifestId))])
  const platforms = new Map<number, readonly string[]>()
  const overviews: TagOverview[] = []
  for (const tag of tags) {
    const { manifestId } = tag
    const known = platforms.get(manifestId) ?? (await platformsOfManifest(registry, tag))
    platforms.set(manifestId, known)
    overviews.push({ ...tag, size: sizes.get(manifestId) ?? tag.manifestSize, platforms: known })
  }
  return overviews
}
