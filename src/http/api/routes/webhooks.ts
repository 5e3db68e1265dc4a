// Webhooks of a project: whom to tell of what happens in it, and what became of it.
import { z } from 'zod'
import {
  createWebhook,
  getWebhook,
  listDeliveries,
  listWebhooks,
  pingWebhook,
  removeWebhook,
  replaceWebhook,
  replayDeliveries,
} from '#access/management/manage-webhooks.ts'
import { Refusal } from '#access/management/refusal.ts'
import { repositoryPattern } from '#access/permissions.ts'
import { READ_KINDS, WRITE_KINDS } from '#events/kinds.ts'
import { gone, named, page, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { count, listOf, name, repositoryName, text, time, version } from '#http/api/schemas.ts'

const URL_CHARS_MAX = 2_048
const HEADERS_MAX = 10
const HEADER_CHARS_MAX = 500
const SECRET_CHARS_MIN = 16
const SECRET_CHARS_MAX = 255
/** What we say ourselves, and what belongs to the connection. */
const OUR_HEADERS =
  /^(content-|stowage-|host$|connection$|transfer-encoding$|expect$|upgrade$|te$|trailer$|keep-alive$)/i

const kind = z.enum([...WRITE_KINDS, ...READ_KINDS])
const headers = z
  .record(
    z
      .string()
      .max(64)
      .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be the name of a header')
      .refine((header) => !OUR_HEADERS.test(header), 'is a header that the registry sets itself'),
    z
      .string()
      .max(HEADER_CHARS_MAX)
      .regex(/^[\t\x20-\x7e]*$/, 'must be the value of a header, on one line'),
  )
  .refine((all) => Object.keys(all).length <= HEADERS_MAX, `at most ${HEADERS_MAX} headers`)

const members = {
  url: z.string().min(1).max(URL_CHARS_MAX),
  format: z.enum(['registry', 'cloudevents']).default('cloudevents'),
  kinds: z
    .array(kind)
    .min(1)
    .max(WRITE_KINDS.length + READ_KINDS.length)
    .default(['manifest.pushed', 'manifest.deleted', 'tag.deleted']),
  repository: repositoryPattern.default('**'),
  disabled: z.boolean().default(false),
}
const secrets = {
  headers: headers.optional(),
  secret: z.string().min(SECRET_CHARS_MIN).max(SECRET_CHARS_MAX).nullish(),
}
const webhookInput = z.strictObject({ ...members, ...secrets })
const newWebhook = z.strictObject({ name, ...members, ...secrets })
const webhook = z.object({
  ...{ name, ...members, kinds: z.array(text) },
  headerNames: z.array(text),
  signed: z.boolean(),
  createdAt: time.nullable(),
  version,
})
const state = z.enum(['pending', 'delivered', 'dead'])
const delivery = z.object({
  ...{ id: z.int(), kind: text, repository: repositoryName, state, attempts: count },
  ...{ status: z.int().nullable(), error: z.string().nullable(), durationMs: count.nullable() },
  ...{ createdAt: time.nullable(), firstTriedAt: time.nullable(), triedAt: time.nullable() },
})
const replayed = z.object({ replayed: count })
const SHOWN = ['name', ...Object.keys(members)]

export const WEBHOOK_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects/:project/webhooks',
    needs: 'maintainer',
    about: 'Lists the webhooks of a project, without their headers and secrets.',
    reply: listOf(webhook),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listWebhooks(management, named(parameters, 'project')) },
    }),
  },
  route({
    method: 'POST',
    path: '/projects/:project/webhooks',
    needs: 'maintainer',
    about: 'Makes a webhook, and sends it a ping. It is told of what happens from now on.',
    body: newWebhook,
    shownInAudit: SHOWN,
    reply: webhook,
    handle: async ({ management, parameters, body }) =>
      shown(await createWebhook(management, named(parameters, 'project'), body), 201),
  }),
  {
    method: 'GET',
    path: '/projects/:project/webhooks/:webhook',
    needs: 'maintainer',
    about: 'Shows a webhook, without its headers and secret.',
    reply: webhook,
    handle: async ({ management, parameters }) =>
      shown(await getWebhook(management, named(parameters, 'project'), named(parameters, 'webhook'))),
  },
  route({
    method: 'PUT',
    path: '/projects/:project/webhooks/:webhook',
    needs: 'maintainer',
    about: 'Replaces a webhook; headers and a secret that are left out stay as they are.',
    isVersioned: true,
    body: webhookInput,
    shownInAudit: SHOWN,
    reply: webhook,
    handle: async ({ management, parameters, body, version }) => {
      const input = { name: named(parameters, 'webhook'), ...body }
      return shown(await replaceWebhook(management, named(parameters, 'project'), input, version))
    },
  }),
  {
    method: 'DELETE',
    path: '/projects/:project/webhooks/:webhook',
    needs: 'maintainer',
    about: 'Deletes a webhook, with what it was not told of yet.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeWebhook(management, named(parameters, 'project'), named(parameters, 'webhook'), version)
      return gone
    },
  },
  {
    method: 'POST',
    path: '/projects/:project/webhooks/:webhook/ping',
    needs: 'maintainer',
    about: 'Sends a webhook a ping; its deliveries say how it went.',
    async handle({ management, parameters }) {
      await pingWebhook(management, named(parameters, 'project'), named(parameters, 'webhook'))
      return gone
    },
  },
  route({
    method: 'GET',
    path: '/projects/:project/webhooks/:webhook/deliveries',
    needs: 'maintainer',
    about: 'Lists what a webhook is, was or could not be told, newest first.',
    isList: true,
    query: z.strictObject({ state: state.optional() }),
    reply: listOf(delivery),
    handle: async ({ management, parameters, query, paging }) =>
      page(
        await listDeliveries(management, named(parameters, 'project'), named(parameters, 'webhook'), {
          ...paging,
          state: query.state,
        }),
      ),
  }),
  route({
    method: 'POST',
    path: '/projects/:project/webhooks/:webhook/replay',
    needs: 'maintainer',
    about: 'Has all that was given up tried again.',
    reply: replayed,
    handle: async ({ management, parameters }) => ({
      status: 201,
      body: {
        replayed: await replayDeliveries(
          management,
          named(parameters, 'project'),
          named(parameters, 'webhook'),
          undefined,
        ),
      },
    }),
  }),
  route({
    method: 'POST',
    path: '/projects/:project/webhooks/:webhook/deliveries/:delivery/replay',
    needs: 'maintainer',
    about: 'Has one delivery that was given up tried again.',
    reply: replayed,
    handle: async ({ management, parameters }) => ({
      status: 201,
      body: {
        replayed: await replayDeliveries(
          management,
          named(parameters, 'project'),
          named(parameters, 'webhook'),
          idOf(named(parameters, 'delivery')),
        ),
      },
    }),
  }),
]

/** @throws Refusal unknown */
function idOf(given: string): number {
  if (!/^[1-9]\d{0,14}$/.test(given))
    throw new Refusal('unknown', `there is no delivery ${given.slice(0, 20)}`)
  return Number(given)
}
