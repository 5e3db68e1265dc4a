// Which tags of one repository stay, and why: pure, over what the database has of it.
//
// A rule covers tags by patterns; what no rule covers stays. What is covered stays for the sake of any rule that covers it and has
// a reason, and goes where none has.
import type { RepositoryGraph } from '#db/repository-graph.ts'
import type { RetentionRule } from '#db/retention-rules.ts'
import { globMatcher, matchesGlob } from '#lib/glob.ts'
import { companionOf, signedDigests } from '#maintenance/retention/companions.ts'

export const DAY_MS = 86_400_000

export interface RepositoryFacts {
  readonly repository: string
  readonly graph: RepositoryGraph
  /** When tags and manifests were pulled last, by name or digest, milliseconds since 1970. */
  readonly pulls: ReadonlyMap<string, number>
  /** The rule that keeps a tag where it is. */
  readonly immutableBy: (tag: string) => string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

export interface TagVerdict {
  readonly tag: string
  readonly manifestId: number
  readonly digest: string
  readonly stays: boolean
  /** Sentences for people. */
  readonly why: string
  /** Rules that cover it. */
  readonly rules: readonly string[]
}

interface JudgedTag {
  readonly name: string
  readonly manifestId: number
  readonly digest: string
  readonly pushedAt: number
  readonly pulledAt: number | undefined
}

/** Rules that are about the repository at all. */
export function rulesFor(rules: readonly RetentionRule[], repository: string): RetentionRule[] {
  return rules.filter(
    ({ repository: pattern, exceptRepositories }) =>
      matchesGlob(pattern, repository) &&
      !exceptRepositories.some((except) => matchesGlob(except, repository)),
  )
}

/** Whether it can let tags go: one that is only about manifests without a tag lets none. */
export function isAboutTags({ newest, pushedDays, pulledDays, signed }: Reasons): boolean {
  return newest !== null || pushedDays !== null || pulledDays !== null || signed
}

type Reasons = Pick<RetentionRule, 'newest' | 'pushedDays' | 'pulledDays' | 'signed'>

/** Of all tags but companions of images that are there, which go with these. */
export function judgeTags(facts: RepositoryFacts, rules: readonly RetentionRule[]): TagVerdict[] {
  const { graph, immutableBy } = facts
  const tags = tagsOf(facts)
  const signed = signedDigests(graph)
  const judges = rules.filter(isAboutTags).map((rule) => judgeBy(rule, tags, signed, facts.now))
  return tags.map((tag) => {
    const { name, manifestId, digest } = tag
    const verdict = (stays: boolean, why: string, names: readonly string[]): TagVerdict => ({
      ...{ tag: name, manifestId, digest, stays, why, rules: names },
    })
    const covering = judges.filter(({ covers }) => covers(name))
    const names = covering.map((judge) => judge.rule.name)
    if (covering.length === 0) return verdict(true, 'no rule covers it', [])
    const immutable = immutableBy(name)
    if (immutable !== undefined) return verdict(true, `immutable by the rule ${immutable}`, names)
    for (const judge of covering) {
      const reason = judge.reasonFor(tag)
      if (reason !== undefined) return verdict(true, `${judge.rule.name}: ${reason}`, names)
    }
    return verdict(
      false,
      covering.map(({ rule, against }) => `${rule.name}: ${against(tag)}`).join('; '),
      names,
    )
  })
}

function tagsOf({ graph, pulls }: RepositoryFacts): JudgedTag[] {
  const digests = new Map(graph.manifests.map(({ id, digest }) => [id, digest as string]))
  const present = new Set<string>(digests.values())
  return graph.tags.flatMap(({ name, manifestId, updatedAt: pushedAt }) => {
    const subject = companionOf(name)
    if (subject !== undefined && present.has(subject)) return []
    const digest = digests.get(manifestId) ?? ''
    const pulled = [pulls.get(name), pulls.get(digest)].filter((at) => at !== undefined)
    const pulledAt = pulled.length === 0 ? undefined : Math.max(...pulled)
    return [{ name, manifestId, digest, pushedAt, pulledAt }]
  })
}

interface Judge {
  readonly rule: RetentionRule
  readonly covers: (tag: string) => boolean
  readonly reasonFor: (tag: JudgedTag) => string | undefined
  readonly against: (tag: JudgedTag) => string
}

function judgeBy(
  rule: RetentionRule,
  tags: readonly JudgedTag[],
  signed: ReadonlySet<string>,
  now: number,
): Judge {
  const matches = globMatcher(rule.tag)
  const exceptions = rule.exceptTags.map(globMatcher)
  const covers = (tag: string) => matches(tag) && !exceptions.some((excepts) => excepts(tag))
  const newest = newestOf(
    rule.newest,
    tags.filter(({ name }) => covers(name)),
  )
  const { pushedDays, pulledDays } = rule
  const age = (at: number) => now - at
  return {
    rule,
    covers,
    reasonFor(tag) {
      if (newest.has(tag.name)) return `one of the ${rule.newest} newest`
      if (pushedDays !== null && age(tag.pushedAt) < pushedDays * DAY_MS)
        return `pushed ${daysAgo(age(tag.pushedAt))}`
      if (pulledDays !== null && tag.pulledAt !== undefined && age(tag.pulledAt) < pulledDays * DAY_MS)
        return `pulled ${daysAgo(age(tag.pulledAt))}`
      return rule.signed && signed.has(tag.digest) ? 'signed' : undefined
    },
    against(tag) {
      const said: string[] = []
      if (rule.newest !== null) said.push(`not one of the ${rule.newest} newest`)
      if (pushedDays !== null || pulledDays === null) said.push(`pushed ${daysAgo(age(tag.pushedAt))}`)
      if (pulledDays !== null)
        said.push(tag.pulledAt === undefined ? 'never pulled' : `pulled ${daysAgo(age(tag.pulledAt))}`)
      if (rule.signed) said.push('not signed')
      return said.join(', ')
    },
  }
}

function newestOf(count: number | null, covered: readonly JudgedTag[]): ReadonlySet<string> {
  if (count === null) return new Set()
  const order = [...covered].sort((a, b) => b.pushedAt - a.pushedAt || (a.name < b.name ? -1 : 1))
  return new Set(order.slice(0, count).map(({ name }) => name))
}

function daysAgo(ms: number): string {
  const days = Math.floor(ms / DAY_MS)
  return days < 1 ? 'today' : days === 1 ? 'a day ago' : `${days} days ago`
}
