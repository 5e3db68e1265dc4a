// Goes over all repositories that rules are about, and lets go what they do not keep; or only tells what that would be.
import { keeperOf } from '#access/immutability/immutable-tags.ts'
import { freedBlobs } from '#db/freed-blobs.ts'
import { repositoriesAfter, repositoryGraph } from '#db/repository-graph.ts'
import { pullsIn, type RetentionRule, retentionRulesInForce } from '#db/retention-rules.ts'
import { internalCaller } from '#identity/caller.ts'
import { Rest } from '#maintenance/gc/slices.ts'
import { removeIfUntied } from '#maintenance/gc/untagged.ts'
import { judgeManifests } from '#maintenance/retention/judge-manifests.ts'
import {
  judgeTags,
  type RepositoryFacts,
  rulesFor,
  type TagVerdict,
} from '#maintenance/retention/judge-tags.ts'
import { retireTag } from '#maintenance/retention/retire-tag.ts'
import { isRepositoryName, isTag, type RepositoryName } from '#oci/reference.ts'
import type { Registry } from '#registry/registry.ts'

const REPOSITORIES_PER_LOOK = 200
/** Decisions that a report names; it counts all. */
export const DECISIONS_MAX = 1_000
/** How much of the time it works, on one thread with the requests. */
const SHARE = 0.3
export const RETENTION_CALLER = 'retention'

export interface RetentionOptions {
  readonly dryRun: boolean
  /** Only this project. */
  readonly project: string | undefined
  /** Instead of the rules that were made, for every project: only in a dry run. */
  readonly assumed: RetentionRule | undefined
  readonly signal: AbortSignal
  /** Where to go on. */
  readonly after: RetentionState | undefined
  readonly checkpoint: (state: RetentionState) => Promise<void>
}

export interface RetentionState {
  /** Id of the last repository that is done. */
  readonly after: number
  readonly report: RetentionReport
}

export interface RetentionReport {
  readonly dryRun: boolean
  /** Repositories that rules are about. */
  readonly repositories: number
  /** Tags that rules cover. */
  readonly covered: number
  readonly tags: number
  readonly manifests: number
  /** Pushed or pulled while it was judged, or kept by a guard. */
  readonly spared: number
  /** Bytes that nothing else needs; collected as garbage when they cannot be restored any more. Known in a dry run. */
  readonly freedBytes: number | null
  readonly decisions: readonly Decision[]
}

/** A tag that goes. */
export interface Decision {
  readonly repository: string
  readonly tag: string
  readonly digest: string
  readonly why: string
}

const NOTHING: Omit<RetentionReport, 'dryRun'> = {
  ...{ repositories: 0, covered: 0, tags: 0, manifests: 0, spared: 0, freedBytes: null, decisions: [] },
}

type Retaining = Pick<
  Registry,
  'db' | 'guards' | 'now' | 'announce' | 'storage' | 'content' | 'settings' | 'log'
>

/** @throws the reason of the signal */
export async function applyRetention(
  registry: Retaining,
  options: RetentionOptions,
): Promise<RetentionReport> {
  const { dryRun, project, assumed, signal, checkpoint } = options
  const rules = assumed ? undefined : await retentionRulesInForce(registry.db)
  const rest = new Rest(SHARE)
  const doomed = new Set<number>()
  let state: RetentionState = options.after ?? { after: 0, report: { dryRun, ...NOTHING } }
  for (;;) {
    const page = await repositoriesAfter(registry.db, state.after, REPOSITORIES_PER_LOOK)
    for (const { id, name, project: owner } of page) {
      signal.throwIfAborted()
      if (!isRepositoryName(name) || (project !== undefined && owner !== project)) continue
      const about = rulesFor(assumed ? [assumed] : (rules?.get(owner) ?? []), name)
      if (about.length === 0) continue
      const start = performance.now()
      const work = { registry, id, name, about, dryRun, doomed }
      state = { after: id, report: add(state.report, await applyTo(work)) }
      await rest.after(performance.now() - start, signal)
    }
    const last = page.at(-1)
    if (!last || page.length < REPOSITORIES_PER_LOOK) break
    state = { ...state, after: last.id }
    // What a dry run found is in memory: one that is cut off begins anew.
    if (!dryRun) await checkpoint(state)
  }
  if (!dryRun) return state.report
  const freed = await freedBlobs(registry.db, { manifests: doomed, deleted: new Set() })
  return { ...state.report, freedBytes: freed.reduce((sum, { size }) => sum + size, 0) }
}

interface Work {
  readonly registry: Retaining
  readonly id: number
  readonly name: RepositoryName
  readonly about: readonly RetentionRule[]
  readonly dryRun: boolean
  /** Ids of manifests that would go. */
  readonly doomed: Set<number>
}

type Done = Omit<RetentionReport, 'dryRun' | 'freedBytes'>

async function applyTo({ registry, id, name, about, dryRun, doomed }: Work): Promise<Done> {
  const { db } = registry
  const facts: RepositoryFacts = {
    repository: name,
    graph: await repositoryGraph(db, id),
    pulls: await pullsIn(db, id),
    immutableBy: await keeperOf(db, name),
    now: registry.now(),
  }
  const verdicts = judgeTags(facts, about)
  const going = verdicts.filter(({ stays }) => !stays)
  const days = about.flatMap(({ untaggedDays }) => untaggedDays ?? [])
  const wanted = judgeManifests(facts, verdicts, days.length === 0 ? null : Math.min(...days))
  const covered = verdicts.filter(({ rules }) => rules.length > 0).length
  const decisions = [
    ...going.map((verdict) => decisionOf(name, verdict)),
    ...companionDecisions(name, facts, wanted),
  ]
  if (dryRun) {
    for (const manifest of wanted.manifests) doomed.add(manifest.id)
    const counts = { tags: decisions.length, manifests: wanted.manifests.length, spared: 0 }
    return { repositories: 1, covered, ...counts, decisions }
  }
  return {
    repositories: 1,
    covered,
    ...(await letGo(registry, id, name, facts, decisions, wanted.manifests)),
  }
}

async function letGo(
  registry: Retaining,
  repositoryId: number,
  repository: RepositoryName,
  { graph, now: judgedAt }: RepositoryFacts,
  decisions: readonly Decision[],
  manifests: ReturnType<typeof judgeManifests>['manifests'],
): Promise<Pick<Done, 'tags' | 'manifests' | 'spared' | 'decisions'>> {
  const caller = internalCaller(RETENTION_CALLER)
  const ids = new Map(graph.tags.map(({ name, manifestId }) => [name, manifestId]))
  const gone: Decision[] = []
  for (const decision of decisions) {
    const { tag } = decision
    const manifestId = ids.get(tag) ?? 0
    if (
      isTag(tag) &&
      (await retireTag(registry, { repository, tag, manifestId, judgedAt, caller })) === 'gone'
    )
      gone.push(decision)
  }
  let removed = 0
  // One whose tag was spared is tagged still, and so are its children and referrers tied.
  for (const manifest of manifests) {
    const removal = { repositoryId, repository, manifest, isRecoverable: true, caller }
    if (await removeIfUntied(registry, removal)) removed += 1
  }
  return { tags: gone.length, manifests: removed, spared: decisions.length - gone.length, decisions: gone }
}

function decisionOf(repository: string, { tag, digest, why }: TagVerdict): Decision {
  return { repository, tag, digest, why }
}

function companionDecisions(
  repository: string,
  { graph }: RepositoryFacts,
  { companions }: ReturnType<typeof judgeManifests>,
): Decision[] {
  const digests = new Map(graph.manifests.map(({ id, digest }) => [id, digest]))
  const tags = new Map(graph.tags.map(({ name, manifestId }) => [name, digests.get(manifestId) ?? '']))
  return companions.map((tag) => ({
    ...{ repository, tag, digest: tags.get(tag) ?? '', why: 'belongs to an image that goes' },
  }))
}

function add(report: RetentionReport, done: Done): RetentionReport {
  return {
    ...report,
    repositories: report.repositories + done.repositories,
    covered: report.covered + done.covered,
    tags: report.tags + done.tags,
    manifests: report.manifests + done.manifests,
    spared: report.spared + done.spared,
    decisions: [...report.decisions, ...done.decisions].slice(0, DECISIONS_MAX),
  }
}
