// Which limits a push stands under: those that were set, and those of the configuration where none were.
import type { Executor } from '#db/db.ts'
import { type Limits, quotasConcerning } from '#db/quotas.ts'
import { MEASURES, projectScope, REGISTRY_SCOPE, userScope } from '#db/usage.ts'
import { findUser } from '#db/users.ts'

export type ScopeKind = 'registry' | 'project' | 'user'

/** Of the configuration: for each project, each user, and the registry. */
export type DefaultLimits = Readonly<Record<ScopeKind, Limits>>

export const NO_LIMITS: Limits = { bytes: null, repositories: null, tags: null }

/** How much of a limit may be used before somebody is told. */
const WARNED_SHARE = 0.8

export interface LimitedScope {
  readonly kind: ScopeKind
  /** As usage is counted under it. */
  readonly scope: string
  /** Of the project or user; empty for the registry. */
  readonly name: string
  readonly limits: Limits
}

/** Whose usage a push would add to. */
export interface Whose {
  readonly project: string
  /** Undefined for who is no user. */
  readonly user: string | undefined
}

/** Only scopes that have any limit, in the order in which they are locked. */
export async function limitedScopes(
  db: Executor,
  whose: Whose,
  defaults: DefaultLimits,
): Promise<LimitedScope[]> {
  const set = new Map((await quotasConcerning(db, whose)).map(({ scope, limits }) => [scope, limits]))
  const scopes: LimitedScope[] = []
  const add = (kind: ScopeKind, scope: string, name: string) => {
    const limits = set.get(scope) ?? defaults[kind]
    if (isLimited(limits)) scopes.push({ kind, scope, name, limits })
  }
  add('project', projectScope(whose.project), whose.project)
  add('registry', REGISTRY_SCOPE, '')
  const ofUser = [...set.keys()].find((scope) => scope.startsWith(userScope('')))
  if (whose.user !== undefined && (ofUser !== undefined || isLimited(defaults.user))) {
    const scope = ofUser ?? (await scopeOf(db, whose.user))
    if (scope !== undefined) add('user', scope, whose.user)
  }
  return scopes
}

async function scopeOf(db: Executor, user: string): Promise<string | undefined> {
  const found = await findUser(db, user)
  return found && userScope(found.id)
}

function isLimited(limits: Limits): boolean {
  return MEASURES.some((measure) => limits[measure] !== null)
}

/** Whether so much of a limit is used that somebody should know. */
export function isNearlyUsed(used: number, limit: number | null): boolean {
  return limit !== null && used >= limit * WARNED_SHARE
}
