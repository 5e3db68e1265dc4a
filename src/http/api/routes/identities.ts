// Accounts of providers that speak for users, and the secret of those who have no password here.
import { z } from 'zod'
import { removeCliSecret, rotateCliSecret } from '#access/management/manage-cli-secret.ts'
import { linkIdentity, listIdentities, unlinkIdentity } from '#access/management/manage-identities.ts'
import { gone, named, nameOf } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, text, time } from '#http/api/schemas.ts'

const SUBJECT_CHARS_MAX = 255

const identity = z.object({
  id: z.int(),
  issuer: text,
  subject: text,
  createdAt: time.nullable(),
  confirmedAt: time.nullable(),
  ended: z.boolean(),
})
const newIdentity = z.strictObject({
  provider: z.string().min(1).max(32),
  subject: z.string().min(1).max(SUBJECT_CHARS_MAX),
})

export const IDENTITY_ROUTES: readonly ApiRoute[] = [
  route({
    method: 'POST',
    path: '/me/secret',
    needs: 'person',
    about: 'Makes a secret for docker in the place of the one before. It is shown this once.',
    body: z.strictObject({}),
    reply: z.object({ secret: text }),
    handle: async ({ management, manager }) => ({
      status: 201,
      body: await rotateCliSecret(management, manager),
    }),
  }),
  {
    method: 'DELETE',
    path: '/me/secret',
    needs: 'person',
    about: 'Takes your secret for docker away.',
    async handle({ management, manager }) {
      await removeCliSecret(management, manager)
      return gone
    },
  },
  {
    method: 'GET',
    path: '/me/identities',
    needs: 'person',
    about: 'Lists the accounts of providers that speak for you.',
    reply: listOf(identity),
    handle: async ({ management, manager }) => ({
      status: 200,
      body: { items: await listIdentities(management, nameOf(manager)) },
    }),
  },
  {
    method: 'GET',
    path: '/users/:user/identities',
    needs: 'auditor',
    about: 'Lists the accounts of providers that speak for a user.',
    reply: listOf(identity),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listIdentities(management, named(parameters, 'user')) },
    }),
  },
  route({
    method: 'POST',
    path: '/users/:user/identities',
    needs: 'admin',
    about: 'Lets an account of a provider speak for a user.',
    body: newIdentity,
    reply: identity,
    handle: async ({ management, parameters, body }) => ({
      status: 201,
      body: await linkIdentity(management, named(parameters, 'user'), body),
    }),
  }),
  {
    method: 'DELETE',
    path: '/users/:user/identities/:identity',
    needs: 'admin',
    about: 'Takes an account of a provider from a user, with the groups that it brought.',
    async handle({ management, parameters }) {
      await unlinkIdentity(management, named(parameters, 'user'), named(parameters, 'identity'))
      return gone
    },
  },
]
