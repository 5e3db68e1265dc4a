// Keeps registry:2's link files beside the facts: a subscriber of the events that mirrors what the facts say now, and not
// what the event said. So an event that comes again does no harm, and the last word is always that of the facts.
//
// A manifest or blob in another algorithm than sha256 has its link under its own digest, with the sha256 of its bytes as
// text: that is where they lie, and what lets the facts be rebuilt from the tree.
import type { Batching, KeyChange, KeyStore } from '#blobs/keys.ts'
import {
  layerLink,
  layersFolder,
  manifestsFolder,
  revisionLink,
  tagCurrentLink,
  tagFolder,
  tagIndexLink,
} from '#blobs/layout.ts'
import type { BlobStorage } from '#blobs/store.ts'
import { blobAliases, findBlob, findRepositoryBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import type { EventRecord } from '#db/events.ts'
import { findManifest, findTaggedManifest, type ManifestRecord } from '#db/manifests.ts'
import { findRepository } from '#db/repositories.ts'
import { holdsBlobs, wasTagPushed } from '#db/tree.ts'
import type { Subscriber } from '#events/dispatch.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { MANIFEST_MEDIA_TYPES } from '#oci/media-types.ts'
import { isRepositoryName, isTag, type RepositoryName, type Tag } from '#oci/reference.ts'

export const LINK_TREE = 'link-tree'
/** A link of ours may be written this long after the event that it mirrors, and be followed by another event meanwhile. */
const OWN_LAG_MS = 10_000

export interface LinkTreeOptions {
  readonly db: Db
  readonly storage: BlobStorage
  readonly keys: KeyStore & Batching
  /** The last event before this start: since events up to it another program may have had the folder. */
  readonly startedAfter: number
}

/** One thing that a batch of events touched. */
interface Touched {
  readonly kind: 'tag' | 'manifest' | 'blob' | 'repository'
  readonly repository: RepositoryName
  readonly name: string
  /** The last event of the batch that touched it, and its time in milliseconds since 1970. */
  readonly eventId: number
  readonly at: number
}

export function linkTree(options: LinkTreeOptions): Subscriber {
  return {
    name: LINK_TREE,
    writesOnly: true,
    async handle(events) {
      const changes: KeyChange[] = []
      for (const touched of touchedBy(events)) {
        const wanted = await changesFor(options.db, touched)
        if (touched.eventId > options.startedAfter || !(await isOvertaken(options, touched, wanted)))
          changes.push(...wanted)
      }
      await options.keys.apply(changes)
    },
  }
}

/** Each thing once, in the order of the events: blobs before the manifests that need them, manifests before their tags. */
function touchedBy(events: readonly EventRecord[]): Iterable<Touched> {
  const touched = new Map<string, Touched>()
  for (const { id: eventId, at, kind, repository, digest, tag } of events) {
    if (!isRepositoryName(repository)) continue
    const add = (of: Touched['kind'], name: string) =>
      touched.set(`${of} ${repository} ${name}`, { kind: of, repository, name, eventId, at })
    if (kind.startsWith('blob.') && kind !== 'blob.pulled' && digest) add('blob', digest)
    if (kind === 'manifest.pushed' || kind === 'manifest.deleted') {
      if (digest) add('manifest', digest)
      if (tag) add('tag', tag)
    }
    if (kind === 'tag.deleted' && tag) add('tag', tag)
    if (kind === 'repository.deleted') add('repository', '')
  }
  return touched.values()
}

async function changesFor(db: Db, { kind, repository, name }: Touched): Promise<KeyChange[]> {
  if (kind === 'repository') return repositoryChanges(db, repository)
  if (kind === 'tag') return isTag(name) ? tagChanges(db, repository, name) : []
  if (!isDigest(name)) return []
  return kind === 'manifest' ? manifestChanges(db, repository, name) : blobChanges(db, repository, name)
}

/** A repository that was deleted would be listed again by whoever finds its folder. */
async function repositoryChanges(db: Db, repository: RepositoryName): Promise<KeyChange[]> {
  if ((await findRepository(db, repository))?.listed) return []
  return [{ path: manifestsFolder(repository) }, { path: layersFolder(repository) }]
}

export async function tagChanges(db: Db, repository: RepositoryName, tag: Tag): Promise<KeyChange[]> {
  const manifest = await findTaggedManifest(db, repository, tag)
  if (!manifest) return [{ path: tagFolder(repository, tag) }]
  // Always the sha256: registry:2's garbage collection looks for no other, and takes what has no tag by it.
  const text = manifest.blobDigest
  return [
    { path: tagIndexLink(repository, tag, text), text },
    { path: tagCurrentLink(repository, tag), text },
  ]
}

export async function manifestChanges(
  db: Db,
  repository: RepositoryName,
  digest: Digest,
): Promise<KeyChange[]> {
  const blob = await findBlob(db, digest)
  if (!blob) return [{ path: folderOf(revisionLink(repository, digest)) }]
  const text = blob.digest
  const aliases = await blobAliases(db, blob.id)
  const changes: KeyChange[] = []
  let heldAs: ManifestRecord | undefined
  for (const alias of aliases) {
    const path = revisionLink(repository, alias)
    const manifest = await findManifest(db, repository, alias)
    changes.push(manifest ? { path, text } : { path: folderOf(path) })
    heldAs ??= manifest
  }
  const path = revisionLink(repository, text)
  const held = await findManifest(db, repository, text)
  if (held) {
    changes.push(...mediaTypeChanges(repository, held), { path, text })
    if (aliases.length > 0) changes.push({ path: standInMark(repository, text) })
  } else if (heldAs) {
    const mark = { path: standInMark(repository, text), text: heldAs.digest }
    changes.push(...mediaTypeChanges(repository, heldAs), mark, { path, text })
  } else {
    return [...changes, { path: folderOf(path) }]
  }
  // registry:2 lists, and keeps from its garbage collection, only what lies in a repository with a folder of layers.
  if (!(await holdsBlobs(db, repository)))
    changes.unshift({ path: `${layersFolder(repository)}/.keep`, text: '' })
  return changes
}

/** registry:2 reads the type out of the bytes. Those of a type that it does not know need not tell it. */
function mediaTypeChanges(repository: RepositoryName, manifest: ManifestRecord): KeyChange[] {
  const { mediaType, blobDigest } = manifest
  if (MANIFEST_MEDIA_TYPES.includes(mediaType)) return []
  return [{ path: mediaTypeMark(repository, blobDigest), text: mediaType }]
}

export async function blobChanges(db: Db, repository: RepositoryName, digest: Digest): Promise<KeyChange[]> {
  const held = await findRepositoryBlob(db, repository, digest)
  const blob = held ?? (await findBlob(db, digest))
  const names = blob ? [blob.digest, ...(await blobAliases(db, blob.id))] : [digest]
  return names.map((name) => {
    const path = layerLink(repository, name)
    return held ? { path, text: held.digest } : { path: folderOf(path) }
  })
}

/**
 * Whether the tree has newer news of a thing than an event from before this start: a crash left the event for now, and
 * another program had the folder between.
 */
async function isOvertaken(
  options: LinkTreeOptions,
  touched: Touched,
  wanted: readonly KeyChange[],
): Promise<boolean> {
  const { db, keys } = options
  const { kind, repository, name, at } = touched
  const written = wanted.some(({ text }) => text !== undefined)
  if (kind === 'tag' && isTag(name)) {
    const path = tagCurrentLink(repository, name)
    const current = (await keys.get(path))?.trim()
    if (wanted.some(({ text }) => text === current)) return false
    // A link that says what we never said is another program's; one that we wrote may be younger than our last word.
    if (current && ((await keys.modifiedAt(path)) ?? 0) > at)
      if (!(await didWePush(db, repository, name, current))) return true
  }
  if (written) return areBytesGone(options, touched)
  if (!isDigest(name)) return false
  const path = kind === 'manifest' ? revisionLink(repository, name) : layerLink(repository, name)
  return ((await keys.modifiedAt(path)) ?? 0) > at + OWN_LAG_MS
}

async function didWePush(db: Db, repository: RepositoryName, tag: Tag, current: string): Promise<boolean> {
  const blob = isDigest(current) ? await findBlob(db, current) : undefined
  for (const name of [current, ...(blob ? await blobAliases(db, blob.id) : [])])
    if (await wasTagPushed(db, repository, tag, name)) return true
  return false
}

/** What another program's garbage collection took gets no link again. */
async function areBytesGone(
  { db, storage }: LinkTreeOptions,
  { kind, repository, name }: Touched,
): Promise<boolean> {
  let sha256: Digest | undefined
  if (kind === 'tag') sha256 = (await findTaggedManifest(db, repository, name))?.blobDigest
  else if (isDigest(name)) sha256 = (await findBlob(db, name))?.digest
  return sha256 !== undefined && (await storage.stat(sha256)) === undefined
}

/** Stands beside the sha256 link of a manifest, and says its media type where the bytes need not. */
export function mediaTypeMark(repository: RepositoryName, sha256: Digest): string {
  return `${folderOf(revisionLink(repository, sha256))}/media-type`
}

/**
 * Stands beside the sha256 link of a manifest that was pushed by another digest only, and says that digest. registry:2's
 * garbage collection stops at a manifest that it cannot find by sha256; for us the manifest has no such name.
 */
export function standInMark(repository: RepositoryName, sha256: Digest): string {
  return `${folderOf(revisionLink(repository, sha256))}/stands-in-for`
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
