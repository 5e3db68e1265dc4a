// What a client can list: tags of a repository, repositories, referrers of a manifest. One page costs one index range.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { referrerPage } from '#db/manifests.ts'
import { findRepository, repositoryPage } from '#db/repositories.ts'
import { tagPage } from '#db/tags.ts'
import type { Readable } from '#identity/readable.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Registry } from '#registry/registry.ts'

export const REFERRERS_PAGE_MAX = 1_000
const NAMES_PER_LOOK = 1_000
/** The specification caps manifests at 4 MiB; clients read a referrers index with the same limit. */
const REFERRERS_PAGE_BYTES_MAX = 3 * 1024 * 1024

export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next page starts (exclusively); undefined on the last one. */
  readonly next: string | undefined
}

/** @throws OciError NAME_UNKNOWN for a repository that never held a manifest */
export async function listTags(
  registry: Registry,
  repository: RepositoryName,
  last: string,
  limit: number,
): Promise<Page<string>> {
  for (const upstream of registry.upstreams) {
    if (upstream.wants(repository, false)) await upstream.tags(repository)
  }
  const holder = await findRepository(registry.db, repository)
  if (!holder?.listed) throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
  if (limit === 0) return { items: [], next: undefined }
  return pageOf(await tagPage(registry.db, holder.id, last, limit + 1), limit)
}

/** Those that may be read, in byte order. */
export async function listRepositories(
  registry: Registry,
  last: string,
  limit: number,
  readable: Readable = 'everything',
): Promise<Page<string>> {
  for (const upstream of registry.upstreams) await upstream.repositories()
  if (limit === 0) return { items: [], next: undefined }
  if (readable === 'everything') return pageOf(await repositoryPage(registry.db, last, limit + 1), limit)
  const items: string[] = []
  for (let at = last; ; ) {
    const names = await repositoryPage(registry.db, at, NAMES_PER_LOOK)
    for (const name of names) if (readable(name as RepositoryName)) items.push(name)
    at = names.at(-1) ?? ''
    if (items.length > limit || names.length < NAMES_PER_LOOK) return pageOf(items.slice(0, limit + 1), limit)
    // Who may read little of much looks through many names: others get their turn between.
    await yieldToLoop()
  }
}

function pageOf(rows: string[], limit: number): Page<string> {
  if (rows.length <= limit) return { items: rows, next: undefined }
  const items = rows.slice(0, limit)
  return { items, next: items.at(-1) }
}

/** Descriptors of the manifests whose subject is that digest; none for a repository or digest that nobody knows. */
export async function listReferrers(
  registry: Registry,
  repository: RepositoryName,
  subject: Digest,
  page: { readonly artifactType?: string | undefined; readonly last: string },
): Promise<Page<Descriptor>> {
  // A referrer points at its subject, not the other way round: only who has read all manifests knows them all.
  for (const upstream of registry.upstreams) {
    if (upstream.wants(repository, false)) await upstream.tags(repository)
  }
  const rows = await referrerPage(registry.db, repository, subject, {
    ...page,
    limit: REFERRERS_PAGE_MAX + 1,
  })
  const items: Descriptor[] = []
  let bytes = 0
  for (const row of rows) {
    bytes += 256 + (row.annotations?.length ?? 0)
    if (items.length >= REFERRERS_PAGE_MAX || (bytes > REFERRERS_PAGE_BYTES_MAX && items.length > 0)) {
      return { items, next: items.at(-1)?.digest }
    }
    const annotations = row.annotations ? (JSON.parse(row.annotations) as Record<string, string>) : {}
    items.push({
      mediaType: row.mediaType,
      digest: row.digest,
      size: row.size,
      ...(row.artifactType !== null && { artifactType: row.artifactType }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
    })
  }
  return { items, next: undefined }
}
