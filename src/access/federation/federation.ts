// Jobs of others (GitHub Actions, GitLab, Kubernetes) that show the token of their own identity, and speak for a robot by it.
// No secret is stored anywhere: what is believed is the signature of an issuer that the configuration names.
import { type ClaimPatterns, claimsMatch } from '#access/federation/claim-rules.ts'
import type { IssuerKeys } from '#access/federation/issuer-keys.ts'
import { findRobotIdentity, type Identity } from '#access/rights.ts'
import {
  LEEWAY_MS,
  readToken,
  TOKEN_ALGORITHMS,
  TokenRefused,
  type VerifiedClaims,
  verifyToken,
} from '#access/tokens/signed-claims.ts'
import type { Db } from '#db/db.ts'
import { federationRulesFrom, federationRulesOf } from '#db/federation-rules.ts'
import type { Log } from '#telemetry/log.ts'

/** The name to log in with where the claims alone say which robot it is. */
export const FEDERATED_USER = 'oidc'
/** Of one issuer; those beyond, by the names of their robots, are not looked at without the name of the robot. */
const RULES_MAX = 20_000

export interface FederationIssuer {
  /** For people. */
  readonly name: string
  /** As its tokens say it, to the letter. */
  readonly issuer: string
  /** What they must be for: the name of this registry, so that no token for another service is good here. */
  readonly audience: string
  readonly keys: IssuerKeys
}

export interface FederationRule {
  readonly name: string
  readonly robotName: string
  readonly issuer: string
  readonly claims: ClaimPatterns
}

export interface FederationOptions {
  readonly db: Db
  readonly issuers: readonly FederationIssuer[]
  /** Those of the configuration, beside those of the database. */
  readonly rules: readonly FederationRule[]
  /** A token that was issued longer ago is refused, however long it is good for. */
  readonly ageMsMax: number
  readonly log: Log
  readonly now: () => number
}

/** Whether a password could be the token of a job. */
export function isIdentityToken(password: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(password)
}

export class Federation {
  readonly #options: FederationOptions
  readonly #issuers: ReadonlyMap<string, FederationIssuer>

  constructor(options: FederationOptions) {
    this.#options = options
    this.#issuers = new Map(options.issuers.map((issuer) => [issuer.issuer, issuer]))
  }

  /** Those that rules may name. */
  find(nameOrUrl: string): FederationIssuer | undefined {
    return this.#issuers.get(nameOrUrl) ?? this.#options.issuers.find(({ name }) => name === nameOrUrl)
  }

  /**
   * Whom the job speaks for, until its own token ends; undefined when for nobody.
   * @param robot undefined where the claims alone decide: then exactly one robot must match
   */
  async identityOf(token: string, robot: string | undefined): Promise<Identity | undefined> {
    const { db, log, now } = this.#options
    try {
      const { claims, expiresAtMs } = await this.verify(token)
      const rule = onlyRule(await this.#rules(String(claims['iss']), robot), claims)
      const identity = await findRobotIdentity(db, rule.robotName, now())
      if (identity?.kind !== 'robot')
        throw new TokenRefused(`the robot ${rule.robotName} is disabled, or not there`)
      log.info('a job speaks for a robot', {
        robot: rule.robotName,
        rule: rule.name,
        issuer: rule.issuer,
        subject: String(claims['sub'] ?? '').slice(0, 255),
      })
      return { ...identity, until: expiresAtMs }
    } catch (error) {
      const isRefused = error instanceof TokenRefused
      const why = error instanceof Error ? error.message : String(error)
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined
      // What a stranger can cause is told at a lower level than an issuer that does not answer.
      log[isRefused ? 'info' : 'warn']('the token of a job was refused', { why, cause })
      return undefined
    }
  }

  /** @throws TokenRefused; Error when the issuer cannot be asked for its keys */
  async verify(text: string): Promise<VerifiedClaims> {
    const { now, ageMsMax } = this.#options
    const token = readToken(text, TOKEN_ALGORITHMS)
    const { iss } = token.claims
    const issuer = typeof iss === 'string' ? this.#issuers.get(iss) : undefined
    if (!issuer) throw new TokenRefused('of an issuer that is not listed')
    const nowMs = now()
    const key = await issuer.keys.find(token.hint, nowMs)
    const verified = await verifyToken(token, key, {
      issuer: issuer.issuer,
      audience: issuer.audience,
      nowMs,
      leewayMs: LEEWAY_MS,
    })
    if (nowMs - verified.issuedAtMs > ageMsMax + LEEWAY_MS) throw new TokenRefused('issued too long ago')
    return verified
  }

  async #rules(issuer: string, robot: string | undefined): Promise<readonly FederationRule[]> {
    const { db, rules } = this.#options
    const stored =
      robot === undefined
        ? await federationRulesFrom(db, issuer, RULES_MAX)
        : await federationRulesOf(db, robot)
    const parsed = stored.map((rule) => ({ ...rule, claims: JSON.parse(rule.claims) as ClaimPatterns }))
    return [...rules, ...parsed].filter(
      (rule) => rule.issuer === issuer && (robot === undefined || rule.robotName === robot),
    )
  }
}

/** @throws TokenRefused when no rule matches, or rules of several robots do */
function onlyRule(rules: readonly FederationRule[], claims: VerifiedClaims['claims']): FederationRule {
  const [first, ...more] = rules.filter((rule) => claimsMatch(claims, rule.claims))
  if (!first) throw new TokenRefused('no rule matches its claims')
  const other = more.find(({ robotName }) => robotName !== first.robotName)
  // What a job may do must not depend on the order of names.
  if (other)
    throw new TokenRefused(
      `rules of several robots match, such as ${first.robotName} and ${other.robotName}: log in by the name of the robot`,
    )
  return first
}
