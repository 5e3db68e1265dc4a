// Rules of a project that say which of its tags stay.
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
  deleteRetentionRule,
  findRetentionRule,
  insertRetentionRule,
  type RetentionRule,
  type RetentionRuleRecord,
  retentionRulesOf,
  updateRetentionRule,
} from '#db/retention-rules.ts'

export const RETENTION_RULES_PER_PROJECT_MAX = 50

export interface RetentionView extends RetentionRule {
  readonly createdAt: string | null
  readonly version: number
}

function viewOf({ updatedAt: _, createdAt, ...rule }: RetentionRuleRecord): RetentionView {
  return { ...rule, createdAt: timeText(createdAt) }
}

export async function listRetention({ db }: Management, project: string): Promise<readonly RetentionView[]> {
  return (await retentionRulesOf(db, (await existingProject(db, project)).id)).map(viewOf)
}

export async function getRetention(
  { db }: Management,
  project: string,
  name: string,
): Promise<RetentionView> {
  return viewOf(await existingRule(db, project, name))
}

export async function createRetention(
  { db, now }: Management,
  project: string,
  rule: RetentionRule,
): Promise<RetentionView> {
  checkRuleName(rule.name)
  checkSomethingStays(rule)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    if ((await retentionRulesOf(tx, id)).length >= RETENTION_RULES_PER_PROJECT_MAX)
      throw new Refusal('conflict', `a project has at most ${RETENTION_RULES_PER_PROJECT_MAX} such rules`)
    if (!(await insertRetentionRule(tx, id, rule, now())))
      throw new Refusal('taken', `the project ${project} has a rule ${rule.name} already`)
    return viewOf(await existingRule(tx, project, rule.name))
  })
}

export async function replaceRetention(
  { db, now }: Management,
  project: string,
  rule: RetentionRule,
  version: number | undefined,
): Promise<RetentionView> {
  checkSomethingStays(rule)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    await existingRule(tx, project, rule.name)
    const updated = await updateRetentionRule(tx, id, rule, { now: now(), version })
    checkUpdated(updated, `the rule ${rule.name}`, true)
    return viewOf(await existingRule(tx, project, rule.name))
  })
}

export async function removeRetention(
  { db }: Management,
  project: string,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    checkVersion(await existingRule(tx, project, name), version, `the rule ${name}`)
    await deleteRetentionRule(tx, (await existingProject(tx, project)).id, name)
  })
}

/** A rule that says of nothing that it stays would be a slip of the pen, and let everything go. */
function checkSomethingStays({ newest, pushedDays, pulledDays, signed, untaggedDays }: RetentionRule): void {
  if (newest !== null || pushedDays !== null || pulledDays !== null || signed || untaggedDays !== null) return
  throw new Refusal('invalid', 'say what stays: newest, pushedDays, pulledDays or signed; or untaggedDays')
}

async function existingRule(db: Executor, project: string, name: string): Promise<RetentionRuleRecord> {
  const rule = await findRetentionRule(db, (await existingProject(db, project)).id, name)
  if (!rule) throw unknown(`the retention rule ${name} of the project ${project}`)
  return rule
}
