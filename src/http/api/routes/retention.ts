// Rules of a project that say which of its tags stay.
import { z } from 'zod'
import {
  createRetention,
  getRetention,
  listRetention,
  removeRetention,
  replaceRetention,
} from '#access/management/manage-retention.ts'
import { repositoryPattern } from '#access/permissions.ts'
import { gone, named, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { tagPattern } from '#http/api/routes/immutability.ts'
import { listOf, name, time, version } from '#http/api/schemas.ts'

const EXCEPTIONS_MAX = 20
const NEWEST_MAX = 100_000
const DAYS_MAX = 36_500

const days = z.int().min(1).max(DAYS_MAX).nullable().default(null)

const members = {
  repository: repositoryPattern.default('**'),
  tag: tagPattern.default('*'),
  exceptRepositories: z.array(repositoryPattern).max(EXCEPTIONS_MAX).default([]),
  exceptTags: z.array(tagPattern).max(EXCEPTIONS_MAX).default([]),
  newest: z.int().min(1).max(NEWEST_MAX).nullable().default(null),
  pushedDays: days,
  pulledDays: days,
  signed: z.boolean().default(false),
  untaggedDays: days,
  disabled: z.boolean().default(false),
}
const ruleInput = z.strictObject(members)
const newRule = z.strictObject({ name, ...members })
const rule = z.object({ name, ...members, createdAt: time.nullable(), version })
const SHOWN = ['name', ...Object.keys(members)]

export const RETENTION_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects/:project/retention',
    needs: 'member',
    about: 'Lists the rules of a project that say which of its tags stay.',
    reply: listOf(rule),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listRetention(management, named(parameters, 'project')) },
    }),
  },
  route({
    method: 'POST',
    path: '/projects/:project/retention',
    needs: 'maintainer',
    about:
      'Makes a rule: of the tags that it covers those go, by schedule, that no rule has a reason to keep.',
    body: newRule,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body }) =>
      shown(await createRetention(management, named(parameters, 'project'), body), 201),
  }),
  {
    method: 'GET',
    path: '/projects/:project/retention/:rule',
    needs: 'member',
    about: 'Shows a rule.',
    reply: rule,
    handle: async ({ management, parameters }) =>
      shown(await getRetention(management, named(parameters, 'project'), named(parameters, 'rule'))),
  },
  route({
    method: 'PUT',
    path: '/projects/:project/retention/:rule',
    needs: 'maintainer',
    about: 'Replaces a rule.',
    isVersioned: true,
    body: ruleInput,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body, version }) => {
      const input = { name: named(parameters, 'rule'), ...body }
      return shown(await replaceRetention(management, named(parameters, 'project'), input, version))
    },
  }),
  {
    method: 'DELETE',
    path: '/projects/:project/retention/:rule',
    needs: 'maintainer',
    about: 'Deletes a rule: what only it let go stays.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeRetention(management, named(parameters, 'project'), named(parameters, 'rule'), version)
      return gone
    },
  },
]
