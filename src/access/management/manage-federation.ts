// Rules that let jobs of others speak for a robot, made and taken away by who may manage the robot.
import { type ClaimPatterns, ruleFault } from '#access/federation/claim-rules.ts'
import { robotIn } from '#access/management/manage-robots.ts'
import { type Management, timeText, unknown } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import {
  deleteFederationRule,
  type FederationRuleRecord,
  federationRulesOf,
  insertFederationRule,
} from '#db/federation-rules.ts'
import { isUserName, PLAIN_NAME_RULE } from '#identity/account-name.ts'

/** Of one robot. */
export const RULES_PER_ROBOT_MAX = 100

export interface FederationRuleView {
  readonly name: string
  readonly issuer: string
  readonly claims: ClaimPatterns
  readonly createdAt: string | null
}

function viewOf({ name, issuer, claims, createdAt }: FederationRuleRecord): FederationRuleView {
  return { name, issuer, claims: JSON.parse(claims) as ClaimPatterns, createdAt: timeText(createdAt) }
}

export async function listFederationRules(
  { db }: Management,
  project: string | undefined,
  robot: string,
): Promise<FederationRuleView[]> {
  await robotIn(db, project, robot)
  return (await federationRulesOf(db, robot)).map(viewOf)
}

export async function createFederationRule(
  { db, directory, now }: Management,
  project: string | undefined,
  robot: string,
  input: { readonly name: string; readonly issuer: string; readonly claims: ClaimPatterns },
): Promise<FederationRuleView> {
  const issuer = directory.federatedIssuer(input.issuer)
  if (issuer === undefined)
    throw new Refusal('invalid', `the issuer ${input.issuer} is not one of auth.stowage.federation.issuers`)
  if (!isUserName(input.name)) throw new Refusal('invalid', `the name of a rule ${PLAIN_NAME_RULE}`)
  const fault = ruleFault(issuer, input.claims)
  if (fault !== undefined) throw new Refusal('invalid', `claims: ${fault}`)
  return db.transaction(async (tx) => {
    const { id: robotId } = await robotIn(tx, project, robot)
    const rules = await federationRulesOf(tx, robot)
    if (rules.length >= RULES_PER_ROBOT_MAX)
      throw new Refusal('conflict', `a robot has at most ${RULES_PER_ROBOT_MAX} rules: take one away first`)
    const rule = { robotId, name: input.name, issuer, claims: JSON.stringify(input.claims), now: now() }
    if (!(await insertFederationRule(tx, rule)))
      throw new Refusal('taken', `the robot has a rule ${input.name} already`)
    return viewOf({ ...rule, robotName: robot, createdAt: rule.now })
  })
}

export async function removeFederationRule(
  { db }: Management,
  project: string | undefined,
  robot: string,
  name: string,
): Promise<void> {
  await db.transaction(async (tx) => {
    const { id } = await robotIn(tx, project, robot)
    if (!(await deleteFederationRule(tx, id, name))) throw unknown(`the rule ${name}`)
  })
}
