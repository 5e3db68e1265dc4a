// Rules of a project that keep tags where they are.
import { z } from 'zod'
import {
  createImmutability,
  getImmutability,
  listImmutability,
  removeImmutability,
  replaceImmutability,
} from '#access/management/manage-immutability.ts'
import { repositoryPattern } from '#access/permissions.ts'
import { gone, named, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, time, version } from '#http/api/schemas.ts'

const EXCEPTIONS_MAX = 20
const TAG_CHARS_MAX = 128

export const tagPattern = z
  .string()
  .max(TAG_CHARS_MAX)
  .regex(/^[a-zA-Z0-9_.*?-]+$/, 'must be a tag, in which * stands for any text and ? for one character')

const members = {
  repository: repositoryPattern,
  tag: tagPattern,
  exceptRepositories: z.array(repositoryPattern).max(EXCEPTIONS_MAX).default([]),
  exceptTags: z.array(tagPattern).max(EXCEPTIONS_MAX).default([]),
  disabled: z.boolean().default(false),
}
const ruleInput = z.strictObject(members)
const newRule = z.strictObject({ name, ...members })
const rule = z.object({ name, ...members, createdAt: time.nullable(), version })
const SHOWN = ['name', 'repository', 'tag', 'exceptRepositories', 'exceptTags', 'disabled']

export const IMMUTABILITY_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects/:project/immutability',
    needs: 'member',
    about: 'Lists the rules of a project that keep tags where they are.',
    reply: listOf(rule),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listImmutability(management, named(parameters, 'project')) },
    }),
  },
  route({
    method: 'POST',
    path: '/projects/:project/immutability',
    needs: 'maintainer',
    about: 'Makes a rule: tags that it matches can come into being, and then neither be moved nor deleted.',
    body: newRule,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body }) =>
      shown(await createImmutability(management, named(parameters, 'project'), body), 201),
  }),
  {
    method: 'GET',
    path: '/projects/:project/immutability/:rule',
    needs: 'member',
    about: 'Shows a rule.',
    reply: rule,
    handle: async ({ management, parameters }) =>
      shown(await getImmutability(management, named(parameters, 'project'), named(parameters, 'rule'))),
  },
  route({
    method: 'PUT',
    path: '/projects/:project/immutability/:rule',
    needs: 'maintainer',
    about: 'Replaces a rule.',
    isVersioned: true,
    body: ruleInput,
    shownInAudit: SHOWN,
    reply: rule,
    handle: async ({ management, parameters, body, version }) => {
      const input = { name: named(parameters, 'rule'), ...body }
      return shown(await replaceImmutability(management, named(parameters, 'project'), input, version))
    },
  }),
  {
    method: 'DELETE',
    path: '/projects/:project/immutability/:rule',
    needs: 'maintainer',
    about: 'Deletes a rule: the tags that it kept are free.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeImmutability(management, named(parameters, 'project'), named(parameters, 'rule'), version)
      return gone
    },
  },
]
