// Which manifests of a repository go with the tags that go, and which because nothing ever tagged them: pure.
import type { GraphManifest, RepositoryGraph } from '#db/repository-graph.ts'
import { inOrderOfRemoval, keptManifests } from '#maintenance/gc/kept-manifests.ts'
import { companionOf } from '#maintenance/retention/companions.ts'
import { DAY_MS, type RepositoryFacts, type TagVerdict } from '#maintenance/retention/judge-tags.ts'

export interface Going {
  /** Tags of signatures and the like whose image goes. */
  readonly companions: readonly string[]
  /** Each after what lists it and after its subject. */
  readonly manifests: readonly GraphManifest[]
}

/**
 * What lost its last tag goes, with its children and referrers, unless something that stays needs it; and, with `untaggedDays`,
 * what has no tag and was neither pushed nor pulled for so long.
 */
export function judgeManifests(
  facts: RepositoryFacts,
  verdicts: readonly TagVerdict[],
  untaggedDays: number | null,
): Going {
  const { graph, immutableBy } = facts
  const goingTags = new Set(verdicts.filter(({ stays }) => !stays).map(({ tag }) => tag))
  const companions = companionsOf(graph)
  const candidates = candidatesOf(facts, goingTags, companions, untaggedDays)
  const held = new Set<string>([...companions.keys()].filter((tag) => immutableBy(tag) !== undefined))
  // What a companion stands for can itself have companions: a signature of a bill of materials.
  for (;;) {
    const tagged = new Set(
      graph.tags
        .filter(({ name }) => (companions.has(name) ? held.has(name) : !goingTags.has(name)))
        .map(({ manifestId }) => manifestId),
    )
    const kept = keptManifests(graph, {
      isRoot: ({ id }) => tagged.has(id) || !candidates.has(id),
      isSubjectJustGone: () => false,
    })
    const before = held.size
    for (const [tag, subject] of companions) if (kept.has(subject.id)) held.add(tag)
    if (held.size > before) continue
    return {
      companions: [...companions.keys()].filter((tag) => !held.has(tag)),
      manifests: inOrderOfRemoval(graph, (id) => kept.has(id)),
    }
  }
}

/** Tags that belong to a manifest of the repository, and that manifest. */
function companionsOf({ manifests, tags }: RepositoryGraph): ReadonlyMap<string, GraphManifest> {
  const byDigest = new Map(manifests.map((manifest) => [manifest.digest as string, manifest]))
  const companions = new Map<string, GraphManifest>()
  for (const { name } of tags) {
    const subject = byDigest.get(companionOf(name) ?? '')
    if (subject) companions.set(name, subject)
  }
  return companions
}

/** Ids of those that may go. */
function candidatesOf(
  { graph, pulls, now }: RepositoryFacts,
  goingTags: ReadonlySet<string>,
  companions: ReadonlyMap<string, GraphManifest>,
  untaggedDays: number | null,
): ReadonlySet<number> {
  const tagsOf = new Map<number, string[]>()
  for (const { name, manifestId } of graph.tags)
    tagsOf.set(manifestId, [...(tagsOf.get(manifestId) ?? []), name])
  const before = untaggedDays === null ? Number.NEGATIVE_INFINITY : now - untaggedDays * DAY_MS
  const isOld = ({ id, digest, createdAt }: GraphManifest) =>
    !tagsOf.has(id) && Math.max(createdAt, pulls.get(digest) ?? 0) < before
  const losesAll = ({ id }: GraphManifest) => tagsOf.get(id)?.every((tag) => goingTags.has(tag)) ?? false
  const byDigest = new Map(graph.manifests.map((manifest) => [manifest.digest, manifest]))
  const related = new Map<string, GraphManifest[]>()
  const relate = (digest: string, manifest: GraphManifest | undefined) => {
    if (manifest) related.set(digest, [...(related.get(digest) ?? []), manifest])
  }
  for (const manifest of graph.manifests) {
    if (manifest.subject !== null) relate(manifest.subject, manifest)
    for (const child of graph.children.get(manifest.id) ?? []) relate(manifest.digest, byDigest.get(child))
  }
  const byId = new Map(graph.manifests.map((manifest) => [manifest.id, manifest]))
  for (const { name, manifestId } of graph.tags) {
    const subject = companions.get(name)
    if (subject) relate(subject.digest, byId.get(manifestId))
  }
  const candidates = new Set<number>()
  const open = graph.manifests.filter((manifest) => losesAll(manifest) || isOld(manifest))
  for (let manifest = open.pop(); manifest; manifest = open.pop()) {
    if (candidates.has(manifest.id)) continue
    candidates.add(manifest.id)
    open.push(...(related.get(manifest.digest) ?? []))
  }
  return candidates
}
