// /v2/_catalog, /v2/<name>/tags/list, /v2/<name>/referrers/<digest>
import type { Reply } from '#http/send.ts'
import type { Context } from '#http/v2/context.ts'
import { parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { OCI_INDEX } from '#oci/media-types.ts'
import { listReferrers, listRepositories, listTags } from '#registry/listings.ts'

/** A list without `n` has as many entries: clients of registry:2 expect all, and nobody may ask for a million at once. */
const TAGS_WITHOUT_N_MAX = 10_000
const REPOSITORIES_WITHOUT_N = 100

export async function getTags(context: Context): Promise<Reply> {
  const { registry, route, query } = context
  const max = registry.settings.tagsPageMax
  const asked = parseCount(query)
  const limit = asked === undefined ? Math.max(max, TAGS_WITHOUT_N_MAX) : Math.min(asked, max)
  const { items, next } = await listTags(registry, route.name, query.get('last') ?? '', limit)
  return list(
    { name: route.name, tags: items },
    nextLink(context, `${route.name}/tags/list`, next, { n: String(limit) }),
  )
}

export async function getCatalog(context: Context): Promise<Reply> {
  const { registry, query } = context
  const max = registry.settings.catalogPageMax
  const limit = parseCount(query) ?? Math.min(REPOSITORIES_WITHOUT_N, max)
  if (limit > max) throw new OciError('PAGINATION_INVALID', { detail: { n: query.get('n'), max } })
  const listed = await context.listed()
  const { items, next } = await listRepositories(registry, query.get('last') ?? '', limit, listed)
  return list({ repositories: items }, nextLink(context, '_catalog', next, { n: String(limit) }))
}

export async function getReferrers(context: Context): Promise<Reply> {
  const { registry, route, query } = context
  const subject = parseDigest(route.rest)
  const artifactType = query.get('artifactType') || undefined
  const { items, next } = await listReferrers(registry, route.name, subject, {
    artifactType,
    last: query.get('last') ?? '',
  })
  const filter: Record<string, string> = artifactType === undefined ? {} : { artifactType }
  return {
    status: 200,
    headers: {
      'Content-Type': OCI_INDEX,
      ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...nextLink(context, `${route.name}/referrers/${subject}`, next, filter),
    },
    body: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: items }),
  }
}

/** `n`: undefined where absent. @throws OciError PAGINATION_INVALID unless it is a whole number of at most 9 digits */
function parseCount(query: URLSearchParams): number | undefined {
  const text = query.get('n')
  if (text === null || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) throw new OciError('PAGINATION_INVALID', { detail: { n: text.slice(0, 100) } })
  return Number(text)
}

function list(value: unknown, link: Record<string, string>): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', ...link },
    body: JSON.stringify(value),
  }
}

/** RFC 8288: where the next page is. */
function nextLink(
  { links, request }: Context,
  path: string,
  last: string | undefined,
  others: Record<string, string>,
): Record<string, string> {
  if (last === undefined) return {}
  const query = new URLSearchParams({ ...others, last })
  return { Link: `<${links.v2(request, path)}?${query}>; rel="next"` }
}
