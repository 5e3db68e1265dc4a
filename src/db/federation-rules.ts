// Rules that let the jobs of others speak for robots.
import type { Executor, Transaction } from '#db/db.ts'

export interface FederationRuleRecord {
  readonly name: string
  readonly robotName: string
  readonly issuer: string
  /** JSON: claim -> pattern. */
  readonly claims: string
  readonly createdAt: number
}

function rules(db: Executor) {
  return db.kysely
    .selectFrom('federation_rules')
    .innerJoin('robots', 'robots.id', 'federation_rules.robot_id')
    .select([
      'federation_rules.name',
      'robots.name as robotName',
      'issuer',
      'claims',
      'federation_rules.created_at as createdAt',
    ])
}

/** In the order of the robots' names. */
export function federationRulesFrom(
  db: Executor,
  issuer: string,
  limit: number,
): Promise<FederationRuleRecord[]> {
  return rules(db)
    .where('issuer', '=', issuer)
    .orderBy('robots.name')
    .orderBy('federation_rules.name')
    .limit(limit)
    .execute()
}

export function federationRulesOf(db: Executor, robotName: string): Promise<FederationRuleRecord[]> {
  return rules(db).where('robots.name', '=', robotName).orderBy('federation_rules.name').execute()
}

/** False when the robot has a rule of that name. */
export async function insertFederationRule(
  tx: Transaction,
  rule: { robotId: number; name: string; issuer: string; claims: string; now: number },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('federation_rules')
    .values({
      robot_id: rule.robotId,
      name: rule.name,
      issuer: rule.issuer,
      claims: rule.claims,
      created_at: rule.now,
    })
    .onConflict((conflict) => conflict.columns(['robot_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

export async function deleteFederationRule(tx: Transaction, robotId: number, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('federation_rules')
    .where('robot_id', '=', robotId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}
