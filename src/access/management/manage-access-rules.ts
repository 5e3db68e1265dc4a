// Rules of a project about who may do what with its repositories.
import { existingProject } from '#access/management/manage-projects.ts'
import {
  checkUpdated,
  checkVersion,
  type Management,
  timeText,
  unknown,
} from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import {
  type AccessRuleRecord,
  accessRulesOf,
  deleteAccessRule,
  findAccessRule,
  insertAccessRule,
  type NewAccessRule,
  type Subject,
  type SubjectKind,
  updateAccessRule,
} from '#db/access-rules.ts'
import type { Executor } from '#db/db.ts'
import { findGroup } from '#db/groups.ts'
import { findRobot } from '#db/robots.ts'
import { findUser } from '#db/users.ts'
import { isUserName, PLAIN_NAME_RULE } from '#identity/account-name.ts'
import type { Right } from '#identity/role.ts'

/** Every rule of a project is looked at when somebody asks for a right. */
export const ACCESS_RULES_PER_PROJECT_MAX = 200

export type RuleFor = { readonly kind: SubjectKind; readonly name: string } | 'everyone'

export interface AccessRuleInput {
  readonly effect: 'allow' | 'deny'
  readonly for: RuleFor
  readonly repository: string
  readonly rights: readonly Right[]
}

export interface AccessRuleView extends AccessRuleInput {
  readonly name: string
  readonly createdAt: string | null
  readonly version: number
}

function viewOf(rule: AccessRuleRecord): AccessRuleView {
  const { name, effect, subject, repository, rights, createdAt, version } = rule
  const whom: RuleFor = subject ?? 'everyone'
  return { name, effect, for: whom, repository, rights, createdAt: timeText(createdAt), version }
}

export async function listAccessRules(
  { db }: Management,
  project: string,
): Promise<readonly AccessRuleView[]> {
  return (await accessRulesOf(db, (await existingProject(db, project)).id)).map(viewOf)
}

export async function getAccessRule(
  { db }: Management,
  project: string,
  name: string,
): Promise<AccessRuleView> {
  return viewOf(await existingRule(db, project, name))
}

export async function createAccessRule(
  { db, now }: Management,
  project: string,
  { name, ...input }: AccessRuleInput & { readonly name: string },
): Promise<AccessRuleView> {
  checkRuleName(name)
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    if ((await accessRulesOf(tx, id)).length >= ACCESS_RULES_PER_PROJECT_MAX)
      throw new Refusal('conflict', `a project has at most ${ACCESS_RULES_PER_PROJECT_MAX} rules`)
    if (!(await insertAccessRule(tx, id, await ruleOf(tx, id, name, input), now())))
      throw new Refusal('taken', `the project ${project} has a rule ${name} already`)
    return viewOf(await existingRule(tx, project, name))
  })
}

export async function replaceAccessRule(
  { db, now }: Management,
  project: string,
  { name, ...input }: AccessRuleInput & { readonly name: string },
  version: number | undefined,
): Promise<AccessRuleView> {
  return db.transaction(async (tx) => {
    const { id } = await existingProject(tx, project)
    await existingRule(tx, project, name)
    const rule = await ruleOf(tx, id, name, input)
    checkUpdated(await updateAccessRule(tx, id, rule, { now: now(), version }), `the rule ${name}`, true)
    return viewOf(await existingRule(tx, project, name))
  })
}

export async function removeAccessRule(
  { db }: Management,
  project: string,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    checkVersion(await existingRule(tx, project, name), version, `the rule ${name}`)
    await deleteAccessRule(tx, (await existingProject(tx, project)).id, name)
  })
}

/** @throws Refusal invalid: it stands in addresses */
export function checkRuleName(name: string): void {
  if (isUserName(name)) return
  throw new Refusal('invalid', `the name of a rule ${PLAIN_NAME_RULE}`)
}

async function existingRule(db: Executor, project: string, name: string): Promise<AccessRuleRecord> {
  const rule = await findAccessRule(db, (await existingProject(db, project)).id, name)
  if (!rule) throw unknown(`the rule ${name} of the project ${project}`)
  return rule
}

async function ruleOf(
  db: Executor,
  projectId: number,
  name: string,
  { effect, for: whom, repository, rights }: AccessRuleInput,
): Promise<NewAccessRule> {
  // Who is nobody is in no log, and what he pushed is nobody's.
  if (whom === 'everyone' && effect === 'allow' && rights.some((right) => right !== 'pull'))
    throw new Refusal(
      'invalid',
      'everyone can be allowed to pull and nothing else: name users, groups or robots',
    )
  return {
    name,
    effect,
    repository,
    rights: [...new Set(rights)],
    subject: await subjectOf(db, projectId, whom),
  }
}

async function subjectOf(db: Executor, projectId: number, whom: RuleFor): Promise<Subject> {
  if (whom === 'everyone') return undefined
  const { kind, name } = whom
  if (kind === 'robot') {
    const robot = await findRobot(db, name)
    // A robot of another project can do nothing here, and its name is none of this project's business.
    if (!robot || (robot.projectId !== null && robot.projectId !== projectId))
      throw unknown(`the robot ${name}`)
    return { kind, id: robot.id }
  }
  const found = await (kind === 'user' ? findUser(db, name) : findGroup(db, name))
  if (!found) throw unknown(`the ${kind} ${name}`)
  return { kind, id: found.id }
}
