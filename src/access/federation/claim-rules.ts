// Rules on the claims of a job's own token: which jobs may speak for a robot.
import { z } from 'zod'
import { type Claims, claimAt } from '#access/claims.ts'
import { matchesGlob } from '#lib/glob.ts'

export const CLAIMS_PER_RULE_MAX = 20
const NAME_CHARS_MAX = 255
const PATTERN_CHARS_MAX = 512
/** Longer claims match nothing. */
const VALUE_CHARS_MAX = 2_048
const VALUES_MAX = 100

/** What every token has, and what says nothing about the job. */
const UNSPECIFIC = new Set(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'typ', 'azp'])

export const claimPatternsSchema = z
  .record(z.string().min(1).max(NAME_CHARS_MAX), z.string().min(1).max(PATTERN_CHARS_MAX))
  .refine((claims) => Object.keys(claims).length <= CLAIMS_PER_RULE_MAX, {
    error: `must name at most ${CLAIMS_PER_RULE_MAX} claims`,
  })
  .refine((claims) => !Object.keys(claims).some((name) => UNSPECIFIC.has(name)), {
    error: 'must name claims that say something about the job: not iss, aud or times',
  })

/** Claim -> pattern: `*` stays within a part between slashes, `**` crosses them. All must match. */
export type ClaimPatterns = Readonly<Record<string, string>>

/** Claims of issuers that serve everybody: unless one of them names an owner, strangers' jobs would match. */
const OWNER_CLAIMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'https://token.actions.githubusercontent.com': {
    sub: 'repo:',
    repository: '',
    repository_owner: '',
    repository_id: '',
    repository_owner_id: '',
  },
  'https://gitlab.com': {
    sub: 'project_path:',
    project_path: '',
    project_id: '',
    namespace_path: '',
    namespace_id: '',
  },
}

/** Why the rule would let strangers in; undefined when it does not. */
export function ruleFault(issuer: string, claims: ClaimPatterns): string | undefined {
  const parsed = claimPatternsSchema.safeParse(claims)
  if (!parsed.success) return parsed.error.issues[0]?.message
  if (!Object.values(claims).some((pattern) => /[^*?/:]/.test(pattern)))
    return 'must name at least one claim by more than wildcards'
  const owners = OWNER_CLAIMS[issuer]
  if (!owners) return undefined
  const namesOwner = Object.entries(owners).some(([name, prefix]) => {
    const pattern = Object.hasOwn(claims, name) ? claims[name] : undefined
    return pattern?.startsWith(prefix) === true && namesOwnerIn(pattern.slice(prefix.length))
  })
  return namesOwner
    ? undefined
    : `must name an owner, since ${issuer} serves everybody: without wildcards in the first part of ${Object.keys(owners).join(', ')}`
}

/** Without a wildcard, or with the first one behind a slash. */
function namesOwnerIn(pattern: string): boolean {
  const wildcard = pattern.search(/[*?]/)
  return wildcard < 0 || pattern.slice(0, wildcard).includes('/')
}

/** A claim with several values matches when one of them does. */
export function claimsMatch(claims: Claims, patterns: ClaimPatterns): boolean {
  return Object.entries(patterns).every(([name, pattern]) =>
    valuesOf(claimAt(claims, name)).some((value) => matchesGlob(pattern, value)),
  )
}

function valuesOf(claim: unknown): string[] {
  const list = Array.isArray(claim) ? claim.slice(0, VALUES_MAX) : [claim]
  return list
    .filter((value) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    .map(String)
    .filter((value) => value.length <= VALUE_CHARS_MAX)
}
