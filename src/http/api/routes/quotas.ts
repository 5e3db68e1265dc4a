// How much projects, users and the registry may use, and what they do use.
import { z } from 'zod'
import {
  changeQuota,
  getQuota,
  listQuotas,
  type QuotaTarget,
  removeQuota,
} from '#access/management/manage-quotas.ts'
import { gone, named, page } from '#http/api/answers.ts'
import { type ApiRoute, type Needs, route } from '#http/api/route-table.ts'
import { listOf, text } from '#http/api/schemas.ts'

const limit = z.int().min(0).nullable()
const limits = { bytes: limit, repositories: limit, tags: limit }
const limitsInput = z.strictObject({
  bytes: limit.default(null),
  repositories: limit.default(null),
  tags: limit.default(null),
})
const quota = z.object({
  kind: z.enum(['registry', 'project', 'user']),
  name: text.nullable(),
  limits: z.object(limits),
  isDefault: z.boolean(),
  used: z.object({ bytes: z.int(), repositories: z.int(), tags: z.int() }),
})
const recount = z.object({
  differences: z.array(z.object({ scope: z.string(), measure: text, counted: z.int(), actual: z.int() })),
})

interface Place {
  readonly path: string
  readonly read: Needs
  readonly of: string
  readonly target: (parameters: Readonly<Record<string, string>>) => QuotaTarget
}

const PLACES: readonly Place[] = [
  { path: '/quota', read: 'auditor', of: 'the registry', target: () => ({ kind: 'registry' }) },
  {
    path: '/projects/:project/quota',
    read: 'member',
    of: 'a project',
    target: (parameters) => ({ kind: 'project', name: named(parameters, 'project') }),
  },
  {
    path: '/users/:user/quota',
    read: 'auditor',
    of: 'a user',
    target: (parameters) => ({ kind: 'user', name: named(parameters, 'user') }),
  },
]

function placeRoutes({ path, read, of, target }: Place): readonly ApiRoute[] {
  return [
    {
      method: 'GET',
      path,
      needs: read,
      about: `Shows the limits of ${of}, and what is used.`,
      reply: quota,
      handle: async ({ management, parameters }) => ({
        status: 200,
        body: await getQuota(management, target(parameters)),
      }),
    },
    route({
      method: 'PUT',
      path,
      needs: 'admin',
      about: `Sets the limits of ${of}; null for none.`,
      body: limitsInput,
      shownInAudit: ['bytes', 'repositories', 'tags'],
      reply: quota,
      handle: async ({ management, parameters, body }) => ({
        status: 200,
        body: await changeQuota(management, target(parameters), body),
      }),
    }),
    {
      method: 'DELETE',
      path,
      needs: 'admin',
      about: `Gives ${of} the limits of the configuration again.`,
      async handle({ management, parameters }) {
        await removeQuota(management, target(parameters))
        return gone
      },
    },
  ]
}

export const QUOTA_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/quotas',
    needs: 'auditor',
    about: 'Lists the limits that were set, and what is used.',
    isList: true,
    reply: listOf(quota),
    handle: async ({ management, paging }) => page(await listQuotas(management, paging)),
  },
  ...PLACES.flatMap(placeRoutes),
  {
    method: 'GET',
    path: '/me/quota',
    needs: 'person',
    about: 'Shows your own limits, and what you use.',
    reply: quota,
    handle: async ({ management, manager }) => {
      const name = manager.principal.kind === 'user' ? manager.principal.name : ''
      return { status: 200, body: await getQuota(management, { kind: 'user', name }) }
    },
  },
  {
    method: 'POST',
    path: '/quotas/recount',
    needs: 'admin',
    about: 'Counts what is used anew, and puts right what was counted wrong.',
    reply: recount,
    handle: async ({ management }) => ({
      status: 201,
      body: { differences: await management.quotas.prove() },
    }),
  },
]
