// Which tags stay where they are, and by which rule.
import type { Executor } from '#db/db.ts'
import { type ImmutabilityRule, immutabilityRulesFor } from '#db/immutability-rules.ts'
import { globMatcher, matchesGlob } from '#lib/glob.ts'
import type { RepositoryName } from '#oci/reference.ts'

export interface Keeper {
  /** The name of the rule that keeps a tag; undefined for one that may be moved and deleted. */
  (tag: string): string | undefined
  /** Keeps nothing. */
  readonly isIdle: boolean
}

/** For all tags of one repository: one query. */
export async function keeperOf(db: Executor, repository: RepositoryName): Promise<Keeper> {
  const rules = (await immutabilityRulesFor(db, repository)).filter((rule) => covers(rule, repository))
  const matchers = rules.map(({ name, tag, exceptTags }) => ({
    name,
    matches: globMatcher(tag),
    exceptions: exceptTags.map(globMatcher),
  }))
  const keeper = (tag: string) =>
    matchers.find(({ matches, exceptions }) => matches(tag) && !exceptions.some((excepts) => excepts(tag)))
      ?.name
  return Object.assign(keeper, { isIdle: matchers.length === 0 })
}

/** The name of the rule that keeps the tag where it is, whether there is such a tag or not. */
export async function isImmutable(
  db: Executor,
  repository: RepositoryName,
  tag: string,
): Promise<string | undefined> {
  return (await keeperOf(db, repository))(tag)
}

function covers({ repository: pattern, exceptRepositories }: ImmutabilityRule, name: string): boolean {
  return matchesGlob(pattern, name) && !exceptRepositories.some((except) => matchesGlob(except, name))
}
