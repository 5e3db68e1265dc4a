// Repositories as people look at them: how large, how many tags, when last pushed and pulled; and deleted as a whole.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { Transaction } from '#db/db.ts'
import { repositoryLock } from '#db/locks.ts'
import { findRepository } from '#db/repositories.ts'
import {
  type FiguresPlace,
  lastPulls,
  type RepositoryFigures,
  type RepositorySort,
  repositoryFigures,
  someBlobs,
  someManifests,
  unlistEmptyRepository,
} from '#db/repository-figures.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { mayRead, type Readable } from '#identity/readable.ts'
import { parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { deleteBlob } from '#registry/blobs.ts'
import { deleteManifest } from '#registry/manifests.ts'
import type { Registry } from '#registry/registry.ts'

const REPOSITORIES_PER_LOOK = 500
/** Who may read little of much, or filters for what is rare, gets a page with few or none, and where to go on. */
const LOOKED_AT_MAX = 20_000
const DELETED_PER_LOOK = 500
const LOOKS_MAX = 10_000

export interface RepositoryOverview extends RepositoryFigures {
  readonly pulledAt: number | null
}

export interface RepositoryQuery {
  readonly sort: RepositorySort
  readonly isDescending: boolean
  readonly project: string | undefined
  /** Part of the name. */
  readonly name: string | undefined
  /** Where the page before ended. */
  readonly after: FiguresPlace | undefined
  readonly limit: number
}

export async function listRepositoryOverviews(
  { db, upstreams }: Registry,
  readable: Readable,
  query: RepositoryQuery,
): Promise<{ readonly items: readonly RepositoryOverview[]; readonly next: FiguresPlace | undefined }> {
  for (const upstream of upstreams) await upstream.repositories()
  const { sort, limit, name = '' } = query
  const found: RepositoryFigures[] = []
  let after = query.after
  for (let looked = 0; ; looked += REPOSITORIES_PER_LOOK) {
    const rows = await repositoryFigures(db, query, { ...query, after, limit: REPOSITORIES_PER_LOOK })
    for (const row of rows)
      if (row.name.includes(name) && mayRead(readable, row.name as RepositoryName)) found.push(row)
    const last = rows.at(-1)
    if (last) after = placeOf(last, sort)
    const isEnd = rows.length < REPOSITORIES_PER_LOOK
    if (!isEnd && found.length <= limit && looked < LOOKED_AT_MAX) {
      await yieldToLoop()
      continue
    }
    const items = found.slice(0, limit)
    const ended = items.at(-1)
    const pulls = await lastPulls(
      db,
      items.map(({ id }) => id),
    )
    return {
      items: items.map((item) => ({ ...item, pulledAt: pulls.get(item.id) ?? null })),
      next: found.length > limit && ended ? placeOf(ended, sort) : isEnd ? undefined : after,
    }
  }
}

/** @throws OciError NAME_UNKNOWN */
export async function describeRepository(
  { db, upstreams }: Registry,
  repository: RepositoryName,
): Promise<RepositoryOverview> {
  for (const upstream of upstreams) {
    if (upstream.wants(repository, false)) await upstream.tags(repository)
  }
  const page = { after: undefined, project: undefined, only: repository, limit: 1 }
  const [found] = await repositoryFigures(db, { sort: 'name', isDescending: false }, page)
  if (!found) throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
  return { ...found, pulledAt: (await lastPulls(db, [found.id])).get(found.id) ?? null }
}

function placeOf(row: RepositoryFigures, sort: RepositorySort): FiguresPlace {
  return { value: row[sort] ?? 0, id: row.id }
}

/**
 * Deletes every manifest with its tags, then every link to a blob; a rule that keeps something stops it there. A push that
 * comes meanwhile stays, and the repository with it.
 * @throws OciError NAME_UNKNOWN, or what a guard says
 */
export async function deleteRepository(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
): Promise<void> {
  for (const upstream of registry.upstreams) {
    if (upstream.wants(repository, false)) await upstream.tags(repository)
  }
  const holder = await findRepository(registry.db, repository)
  if (!holder?.listed) throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
  const { id } = holder
  await emptied(
    () => someManifests(registry.db, id, DELETED_PER_LOOK),
    (digest) => deleteManifest(registry, caller, repository, { digest: parseDigest(digest) }),
  )
  await emptied(
    () => someBlobs(registry.db, id, DELETED_PER_LOOK),
    (digest) => deleteBlob(registry, caller, repository, parseDigest(digest)),
  )
  const unlist = async (tx: Transaction) => {
    if (await unlistEmptyRepository(tx, id))
      await recordEvent(tx, 'repository.deleted', { repository }, caller, registry.now())
  }
  await registry.db.transaction(unlist, { mayUseReserve: true, locks: [repositoryLock(repository)] })
  registry.announce()
}

/** Until there is none: also those that came meanwhile, but not for ever. */
async function emptied(
  some: () => Promise<readonly string[]>,
  remove: (digest: string) => Promise<void>,
): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const digests = await some()
    for (const digest of digests) await remove(digest).catch(passGone)
    if (digests.length < DELETED_PER_LOOK) return
  }
}

/** Somebody else was faster. */
function passGone(error: unknown): void {
  const reason = error instanceof OciError ? error.reason : undefined
  if (reason !== 'MANIFEST_UNKNOWN' && reason !== 'BLOB_UNKNOWN') throw error
}
