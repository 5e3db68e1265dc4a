// What was deleted comes back: a manifest with what it needs and its tags, a tag, or an earlier state of a tag.
import { blobsById, linkBlob, reviveBlob } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import {
  blobsOfDeleted,
  type DeletedManifestRecord,
  deletedPage,
  findDeleted,
} from '#db/deleted-manifests.ts'
import { namesOfBlobs } from '#db/garbage.ts'
import { blobLock, repositoryLock } from '#db/locks.ts'
import { findManifest, findTaggedManifest } from '#db/manifests.ts'
import { ensureRepository } from '#db/repositories.ts'
import { type DeletedTag, deletedTags, type TagMoment, tagHistory, tagsDeletedFrom } from '#db/tag-history.ts'
import type { Caller } from '#identity/caller.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { parseManifest } from '#oci/manifest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'
import { isTag } from '#oci/reference.ts'
import { readContent } from '#registry/blobs.ts'
import { pushManifest } from '#registry/manifests.ts'
import { MANIFEST_BYTES_MAX, type Registry } from '#registry/registry.ts'

/** A manifest that had more tags comes back without the rest: each can be restored by its name. */
const TAGS_MAX = 1_000
/** An index of indexes of indexes is deeper than any that is built. */
const DEPTH_MAX = 4

export interface Restored {
  readonly digest: Digest
  readonly tags: readonly string[]
}

/** Of a repository, by digest. */
export function listDeleted(
  registry: Registry,
  repository: RepositoryName,
  page: { readonly last: string; readonly limit: number },
): Promise<DeletedManifestRecord[]> {
  return deletedPage(registry.db, repository, { ...page, since: since(registry) })
}

/** Tags that were deleted in the window and are not there, by name: each can be restored while its manifest is there or can be. */
export function listDeletedTags(
  registry: Registry,
  repository: RepositoryName,
  page: { readonly last: string; readonly limit: number },
): Promise<DeletedTag[]> {
  return deletedTags(registry.db, { repository, ...page, since: since(registry) })
}

/**
 * Restores a manifest, the manifests that it lists, and those of its tags that no other manifest has by now.
 * @throws OciError MANIFEST_UNKNOWN when there is nothing to restore, or what a push is refused with
 */
export async function restoreManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
): Promise<Restored> {
  const deleted = await findDeleted(registry.db, repository, digest, since(registry))
  if (!deleted) throw notRecoverable(repository, digest)
  const names = await tagsDeletedFrom(registry.db, {
    ...{ repository, digest, since: deleted.deletedAt, limit: TAGS_MAX },
  })
  const tags: Tag[] = []
  for (const name of names)
    if (isTag(name) && !(await findTaggedManifest(registry.db, repository, name))) tags.push(name)
  await bringBack(registry, caller, repository, digest, tags, 0)
  return { digest, tags }
}

/** Restores a tag that was deleted, with its manifest where that is gone too. @throws OciError MANIFEST_UNKNOWN */
export async function restoreTag(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  tag: Tag,
): Promise<Restored> {
  if (await findTaggedManifest(registry.db, repository, tag))
    throw new OciError('REQUEST_INVALID', {
      message: 'the tag is there: to go back to what it pointed at before, roll it back',
      detail: { repository, tag },
    })
  const [last] = await historyOf(registry, repository, tag, 1)
  if (last?.kind !== 'tag.deleted') throw notRecoverable(repository, tag)
  await bringBack(registry, caller, repository, last.digest, [tag], 0)
  return { digest: last.digest, tags: [tag] }
}

/**
 * Points a tag at what it pointed at before: at a digest of its history, or at the last one that is another.
 * @throws OciError MANIFEST_UNKNOWN when there is none that can be had, or what a push of the tag is refused with
 */
export async function rollBackTag(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  tag: Tag,
  digest?: Digest,
): Promise<Restored> {
  const current = (await findTaggedManifest(registry.db, repository, tag))?.digest
  const history = await historyOf(registry, repository, tag, TAGS_MAX)
  const earlier = history.find((moment) =>
    digest === undefined ? moment.digest !== current : moment.digest === digest,
  )
  if (!earlier) throw notRecoverable(repository, digest ?? tag)
  await bringBack(registry, caller, repository, earlier.digest, [tag], 0)
  return { digest: earlier.digest, tags: [tag] }
}

export interface HistoryEntry extends TagMoment {
  /** `present` in the repository, `deleted` and to be restored, or `gone`. */
  readonly state: 'present' | 'deleted' | 'gone'
}

/** Newest first. */
export async function listTagHistory(
  registry: Registry,
  repository: RepositoryName,
  tag: Tag,
  page: { readonly before: number; readonly limit: number },
): Promise<HistoryEntry[]> {
  const { db } = registry
  const entries: HistoryEntry[] = []
  for (const moment of await tagHistory(db, { repository, tag, ...page })) {
    const isPresent = (await findManifest(db, repository, moment.digest)) !== undefined
    const isDeleted = !isPresent && (await findDeleted(db, repository, moment.digest, since(registry)))
    entries.push({ ...moment, state: isPresent ? 'present' : isDeleted ? 'deleted' : 'gone' })
  }
  return entries
}

function historyOf({ db }: Registry, repository: RepositoryName, tag: Tag, limit: number) {
  return tagHistory(db, { repository, tag, before: Number.MAX_SAFE_INTEGER, limit })
}

/** Pushes the manifest as a client would, with what it needs held by the repository again: so all that guards a push guards this. */
async function bringBack(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  digest: Digest,
  tags: readonly Tag[],
  depth: number,
): Promise<void> {
  const { db } = registry
  const present = await findManifest(db, repository, digest)
  if (present && tags.length === 0) return
  const deleted = present ? undefined : await findDeleted(db, repository, digest, since(registry))
  const source = present ?? deleted
  const bytes = source && (await readContent(registry, source.blobDigest, MANIFEST_BYTES_MAX))
  if (!source || !bytes) throw notRecoverable(repository, digest)
  if (deleted) await holdAgain(registry, repository, deleted)
  const { manifest } = parseManifest(bytes, source.mediaType)
  for (const child of depth < DEPTH_MAX ? (manifest?.manifests ?? []) : []) {
    if (!isDigest(child.digest) || (await findManifest(db, repository, child.digest))) continue
    if (await findDeleted(db, repository, child.digest, since(registry)))
      await bringBack(registry, caller, repository, child.digest, [], depth + 1)
  }
  await pushManifest(registry, caller, repository, { digest }, { mediaType: source.mediaType, bytes, tags })
}

async function holdAgain(
  { db, now }: Registry,
  repository: RepositoryName,
  deleted: DeletedManifestRecord,
): Promise<void> {
  const ids = await blobsOfDeleted(db, deleted.id)
  const at = now()
  const hold = async (tx: Transaction) => {
    const { id: repositoryId } = await ensureRepository(tx, repository, at)
    for (const { id, digest, condemnedAt } of await blobsById(tx, ids)) {
      if (condemnedAt !== null) await reviveBlob(tx, { id, digest })
      if (digest !== deleted.blobDigest) await linkBlob(tx, { repositoryId, blobId: id, now: at })
    }
  }
  const locks = [repositoryLock(repository), ...(await namesOfBlobs(db, ids)).map(blobLock)]
  await db.transaction(hold, { locks })
}

/** Deleted after this time, something can be restored. */
function since({ now, settings }: Registry): number {
  return now() - settings.deletedWindowMs
}

function notRecoverable(repository: RepositoryName, reference: string): OciError {
  return new OciError('MANIFEST_UNKNOWN', {
    message: 'there is nothing to restore: it was never deleted, or longer ago than the window',
    detail: { repository, reference },
  })
}
