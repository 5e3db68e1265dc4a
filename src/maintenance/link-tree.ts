// Keeps registry:2's link files beside the facts: a subscriber of the events that mirrors what the facts say now, and not
// what the event said. So an event that comes again does no harm, and the last word is always that of the facts.
//
// A manifest or blob in another algorithm than sha256 has its link under its own digest, with the sha256 of its bytes as
// text: that is where they lie, and what lets the facts be rebuilt from the tree.
import type { Batching, KeyChange } from '#blobs/keys.ts'
import { layerLink, revisionLink, tagCurrentLink, tagFolder, tagIndexLink } from '#blobs/layout.ts'
import { blobAliases, findBlob, findRepositoryBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import type { EventRecord } from '#db/events.ts'
import { findManifest, findTaggedManifest } from '#db/manifests.ts'
import type { Subscriber } from '#events/dispatch.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { isRepositoryName, isTag, type RepositoryName, type Tag } from '#oci/reference.ts'

export const LINK_TREE = 'link-tree'

/** One thing that a batch of events touched. */
interface Touched {
  readonly kind: 'tag' | 'manifest' | 'blob'
  readonly repository: RepositoryName
  readonly name: string
}

export function linkTree(db: Db, keys: Batching): Subscriber {
  return {
    name: LINK_TREE,
    async handle(events) {
      const changes: KeyChange[] = []
      for (const touched of touchedBy(events)) changes.push(...(await changesFor(db, touched)))
      await keys.apply(changes)
    },
  }
}

/** Each thing once, in the order of the events: blobs before the manifests that need them, manifests before their tags. */
function touchedBy(events: readonly EventRecord[]): Iterable<Touched> {
  const touched = new Map<string, Touched>()
  const add = (kind: Touched['kind'], repository: RepositoryName, name: string) => {
    const key = `${kind} ${repository} ${name}`
    if (!touched.has(key)) touched.set(key, { kind, repository, name })
  }
  for (const { kind, repository, digest, tag } of events) {
    if (!isRepositoryName(repository)) continue
    if (kind.startsWith('blob.') && kind !== 'blob.pulled' && digest) add('blob', repository, digest)
    if (kind === 'manifest.pushed' || kind === 'manifest.deleted') {
      if (digest) add('manifest', repository, digest)
      if (tag) add('tag', repository, tag)
    }
    if (kind === 'tag.deleted' && tag) add('tag', repository, tag)
  }
  return touched.values()
}

async function changesFor(db: Db, { kind, repository, name }: Touched): Promise<KeyChange[]> {
  if (kind === 'tag') return isTag(name) ? tagChanges(db, repository, name) : []
  if (!isDigest(name)) return []
  return kind === 'manifest' ? manifestChanges(db, repository, name) : blobChanges(db, repository, name)
}

async function tagChanges(db: Db, repository: RepositoryName, tag: Tag): Promise<KeyChange[]> {
  const manifest = await findTaggedManifest(db, repository, tag)
  if (!manifest) return [{ path: tagFolder(repository, tag) }]
  return [
    { path: tagIndexLink(repository, tag, manifest.digest), text: manifest.digest },
    { path: tagCurrentLink(repository, tag), text: manifest.digest },
  ]
}

async function manifestChanges(db: Db, repository: RepositoryName, digest: Digest): Promise<KeyChange[]> {
  const manifest = await findManifest(db, repository, digest)
  const path = revisionLink(repository, digest)
  return [manifest ? { path, text: manifest.blobDigest } : { path: folderOf(path) }]
}

async function blobChanges(db: Db, repository: RepositoryName, digest: Digest): Promise<KeyChange[]> {
  const held = await findRepositoryBlob(db, repository, digest)
  const blob = held ?? (await findBlob(db, digest))
  const names = blob ? [blob.digest, ...(await blobAliases(db, blob.id))] : [digest]
  return names.map((name) => {
    const path = layerLink(repository, name)
    return held ? { path, text: held.digest } : { path: folderOf(path) }
  })
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
