// Rules of a project that keep tags where they are.
import { checkRuleName } from '#access/management/manage-access-rules.ts'
import { existingProject } from '#access/management/manage-projects.ts'
import {
  checkUpdated,
  checkVersion,
  type Management,
  timeText,
  unknown,
} from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import type { Executor } from '#db/db.ts'
import {
  deleteImmutabilityRule,
  findImmutabilityRule,
  type ImmutabilityRule,
  type ImmutabilityRuleRecord,
  immutabilityRulesOf,
  insertImmutabilityRule,
  updateImmutabilityRule,
} from '#db/immutability-rules.ts'

export const IMMUTABILITY_RULES_PER_PROJECT_MAX = 50

export interface ImmutabilityView extends ImmutabilityRule {
  readonly createdAt: string | null
  readonly version: number
}

function viewOf({ updatedAt: _, createdAt, ...rule }: ImmutabilityRuleRecord): ImmutabilityView {
  return { ...rule, createdAt: timeText(createdAt) }
}

export async function listImmutability(
  { db }: Management,
  project: string,
): Promise<readonly ImmutabilityView[]> {
  return (await immutabilityRulesOf(db, (await existingProject(db, project)).id)).map(viewOf)
}

export async function getImmutability(
  { db }: Management,
  project: string,
  name: string,
): Promise<ImmutabilityView> {
  return viewOf(await existingRule(db, project, name))
}

export async function createImmutability(
  { db, now }: Management,
  project: string,
  rule: ImmutabilityRule,
): Promise<ImmutabilityView> {
  checkRuleName(rule.name)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    if ((await immutabilityRulesOf(tx, id)).length >= IMMUTABILITY_RULES_PER_PROJECT_MAX)
      throw new Refusal('conflict', `a project has at most ${IMMUTABILITY_RULES_PER_PROJECT_MAX} such rules`)
    if (!(await insertImmutabilityRule(tx, id, rule, now())))
      throw new Refusal('taken', `the project ${project} has a rule ${rule.name} already`)
    return viewOf(await existingRule(tx, project, rule.name))
  })
}

export async function replaceImmutability(
  { db, now }: Management,
  project: string,
  rule: ImmutabilityRule,
  version: number | undefined,
): Promise<ImmutabilityView> {
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    await existingRule(tx, project, rule.name)
    const updated = await updateImmutabilityRule(tx, id, rule, { now: now(), version })
    checkUpdated(updated, `the rule ${rule.name}`, true)
    return viewOf(await existingRule(tx, project, rule.name))
  })
}

export async function removeImmutability(
  { db }: Management,
  project: string,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    checkVersion(await existingRule(tx, project, name), version, `the rule ${name}`)
    await deleteImmutabilityRule(tx, (await existingProject(tx, project)).id, name)
  })
}

async function existingRule(db: Executor, project: string, name: string): Promise<ImmutabilityRuleRecord> {
  const rule = await findImmutabilityRule(db, (await existingProject(db, project)).id, name)
  if (!rule) throw unknown(`the immutability rule ${name} of the project ${project}`)
  return rule
}
