// Rules of a project about who may do what with its repositories.
import { z } from 'zod'
import {
  createAccessRule,
  getAccessRule,
  listAccessRules,
  removeAccessRule,
  replaceAccessRule,
} from '#access/management/manage-access-rules.ts'
import { repositoryPattern, rightsSchema } from '#access/permissions.ts'
import { gone, named, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, text, time, version } from '#http/api/schemas.ts'

const subject = z.strictObject({ kind: z.enum(['user', 'group', 'robot']), name: text })
const members = {
  effect: z.enum(['allow', 'deny']),
  for: z.union([z.literal('everyone'), subject]),
  repository: repositoryPattern,
  rights: rightsSchema,
}
const ruleInput = z.strictObject(members)
const newRule = z.strictObject({ name, ...members })
const rule = z.object({ name, ...members, createdAt: time.nullable(), version })
const SHOWN = ['name', 'effect', 'for', 'repository', 'rights']

export const ACCESS_RULE_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects/:project/rules',
    needs: 'member',
    about: 'Lists the rules of a project about who may do what with its repositories.',
    reply: listOf(rule),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listAccessRules(management, named(parameters, 'project')) },
    }),
  },
  route({
    method: 'POST',
    path: '/projects/:project/rules',
    needs: 'owner',
    about: 'Allows or denies rights on repositories of a project to a user, group, robot or everyone.',
    body: newRule,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body }) =>
      shown(await createAccessRule(management, named(parameters, 'project'), body), 201),
  }),
  {
    method: 'GET',
    path: '/projects/:project/rules/:rule',
    needs: 'member',
    about: 'Shows a rule.',
    reply: rule,
    handle: async ({ management, parameters }) =>
      shown(await getAccessRule(management, named(parameters, 'project'), named(parameters, 'rule'))),
  },
  route({
    method: 'PUT',
    path: '/projects/:project/rules/:rule',
    needs: 'owner',
    about: 'Replaces a rule.',
    isVersioned: true,
    body: ruleInput,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body, version }) => {
      const input = { name: named(parameters, 'rule'), ...body }
      return shown(await replaceAccessRule(management, named(parameters, 'project'), input, version))
    },
  }),
  {
    method: 'DELETE',
    path: '/projects/:project/rules/:rule',
    needs: 'owner',
    about: 'Deletes a rule.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeAccessRule(management, named(parameters, 'project'), named(parameters, 'rule'), version)
      return gone
    },
  },
]
