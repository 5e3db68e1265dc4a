// The issuers and rules that the configuration names.
import { ruleFault } from '#access/federation/claim-rules.ts'
import { Federation, type FederationIssuer, type FederationRule } from '#access/federation/federation.ts'
import { FetchedKeys, keysFromFile } from '#access/federation/issuer-keys.ts'
import type { Db } from '#db/db.ts'
import type { OutboundSource } from '#lib/outbound/outbound-source.ts'
import type { Log } from '#telemetry/log.ts'

export interface FederationSetup {
  readonly issuers: readonly {
    readonly name: string
    readonly issuer: string
    readonly audience: string
    /** A file of its keys, where it cannot be asked for them. */
    readonly jwks: string | undefined
  }[]
  readonly rules: readonly {
    readonly robot: string
    /** The name of an issuer. */
    readonly issuer: string
    readonly claims: Readonly<Record<string, string>>
  }[]
  readonly ageMsMax: number
}

export interface FederationSurroundings {
  readonly db: Db
  readonly outbound: OutboundSource
  readonly log: Log
  readonly now: () => number
}

/** @throws Error with a sentence for the operator: a file that cannot be read, a rule that would let strangers in */
export async function openFederation(
  setup: FederationSetup,
  { db, outbound, log, now }: FederationSurroundings,
): Promise<Federation> {
  const issuers = await Promise.all(
    setup.issuers.map(async ({ name, issuer, audience, jwks }): Promise<FederationIssuer> => {
      const keys =
        jwks === undefined ? new FetchedKeys(issuer, () => outbound.open()) : await keysFromFile(jwks)
      return { name, issuer, audience, keys }
    }),
  )
  const rules = setup.rules.map(({ robot, issuer: issuerName, claims }, n): FederationRule => {
    const issuer = issuers.find(({ name }) => name === issuerName)?.issuer
    const at = `auth.stowage.federation.rules[${n}]`
    if (issuer === undefined) throw new Error(`${at}.issuer: there is no issuer ${issuerName}`)
    const fault = ruleFault(issuer, claims)
    if (fault !== undefined) throw new Error(`${at}.claims: ${fault}`)
    return { name: `configuration ${n + 1}`, robotName: robot, issuer, claims }
  })
  return new Federation({ db, issuers, rules, ageMsMax: setup.ageMsMax, log, now })
}
