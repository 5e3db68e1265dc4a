// Which manifests of a repository stay for the sake of those that are kept: children of a kept index, and referrers of what is
// kept; pure, over the graph of one repository.
import type { GraphManifest, RepositoryGraph } from '#db/repository-graph.ts'

export interface KeepOptions {
  /** Kept for a reason of their own: tagged, or too young. */
  readonly isRoot: (manifest: GraphManifest) => boolean
  /** Whether the subject of a referrer has been absent for less than the grace. */
  readonly isSubjectJustGone: (referrer: GraphManifest) => boolean
}

/** Ids of all that stay. */
export function keptManifests(
  { manifests, children }: Pick<RepositoryGraph, 'manifests' | 'children'>,
  { isRoot, isSubjectJustGone }: KeepOptions,
): ReadonlySet<number> {
  const byDigest = new Map(manifests.map((manifest) => [manifest.digest, manifest]))
  const referrers = new Map<string, GraphManifest[]>()
  for (const manifest of manifests) {
    if (manifest.subject === null) continue
    const list = referrers.get(manifest.subject) ?? []
    list.push(manifest)
    referrers.set(manifest.subject, list)
  }
  const kept = new Set<number>()
  const open = manifests.filter(
    (manifest) =>
      isRoot(manifest) ||
      (manifest.subject !== null && !byDigest.has(manifest.subject) && isSubjectJustGone(manifest)),
  )
  for (let manifest = open.pop(); manifest; manifest = open.pop()) {
    if (kept.has(manifest.id)) continue
    kept.add(manifest.id)
    for (const digest of children.get(manifest.id) ?? []) {
      const child = byDigest.get(digest)
      if (child) open.push(child)
    }
    open.push(...(referrers.get(manifest.digest) ?? []))
  }
  return kept
}

/** Those that go, each after what lists it and after its subject: so that nothing is tied to it any more when its turn comes. */
export function inOrderOfRemoval(
  { manifests, children }: Pick<RepositoryGraph, 'manifests' | 'children'>,
  isKept: (id: number) => boolean,
): GraphManifest[] {
  const going = new Map<string, GraphManifest>(
    manifests.filter(({ id }) => !isKept(id)).map((manifest) => [manifest.digest, manifest]),
  )
  const before = new Map<string, string[]>()
  for (const manifest of going.values()) {
    if (manifest.subject !== null && going.has(manifest.subject))
      before.set(manifest.digest, [...(before.get(manifest.digest) ?? []), manifest.subject])
    for (const child of children.get(manifest.id) ?? [])
      if (going.has(child)) before.set(child, [...(before.get(child) ?? []), manifest.digest])
  }
  const ordered: GraphManifest[] = []
  const [entered, done] = [new Set<string>(), new Set<string>()]
  for (const start of going.keys()) {
    const stack = [start]
    for (let digest = stack.at(-1); digest !== undefined; digest = stack.at(-1)) {
      if (!entered.has(digest)) {
        entered.add(digest)
        // A cycle, which only manifests that nobody checked can make, ends at what was entered.
        stack.push(...(before.get(digest) ?? []).filter((other) => !entered.has(other)))
        continue
      }
      stack.pop()
      const manifest = going.get(digest)
      if (manifest && !done.has(digest)) ordered.push(manifest)
      done.add(digest)
    }
  }
  return ordered
}
