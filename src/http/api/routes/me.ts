// What everybody who logs in may see and change of himself: password and API keys.
import { z } from 'zod'
import { createKey, listKeys, removeKey } from '#access/management/manage-robots.ts'
import { changeOwnPassword, getUser } from '#access/management/manage-users.ts'
import { permissionsSchema } from '#access/permissions.ts'
import { gone, named, nameOf, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { user } from '#http/api/routes/users.ts'
import { listOf, name, password, text, time, when } from '#http/api/schemas.ts'

const ownPassword = z.strictObject({ current: password, password })

const newKey = z.strictObject({
  name,
  permissions: permissionsSchema.nullish(),
  expiresAt: when.nullish(),
})
const keyMembers = {
  name,
  permissions: permissionsSchema.nullable(),
  expiresAt: time.nullable(),
  createdAt: time.nullable(),
}
const key = z.object(keyMembers)
const keyWithSecret = z.object({ ...keyMembers, secret: text })

export const OWN_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/me',
    needs: 'person',
    about: 'Shows who you are.',
    reply: user,
    handle: async ({ management, manager }) => shown(await getUser(management, nameOf(manager))),
  },
  route({
    method: 'PUT',
    path: '/me/password',
    needs: 'person',
    about: 'Sets your own password.',
    body: ownPassword,
    async handle({ management, manager, body }) {
      await changeOwnPassword(management, nameOf(manager), body)
      return gone
    },
  }),
  {
    method: 'GET',
    path: '/me/keys',
    needs: 'person',
    about: 'Lists your API keys, without their secrets.',
    reply: listOf(key),
    handle: async ({ management, manager }) => ({
      status: 200,
      body: { items: await listKeys(management, manager) },
    }),
  },
  route({
    method: 'POST',
    path: '/me/keys',
    needs: 'person',
    about: 'Makes an API key. Its secret is shown this once.',
    body: newKey,
    shownInAudit: ['name', 'permissions', 'expiresAt'],
    reply: keyWithSecret,
    handle: async ({ management, manager, body }) => ({
      status: 201,
      body: await createKey(management, manager, body),
    }),
  }),
  {
    method: 'DELETE',
    path: '/me/keys/:key',
    needs: 'person',
    about: 'Deletes one of your API keys.',
    async handle({ management, manager, parameters }) {
      await removeKey(management, manager, named(parameters, 'key'))
      return gone
    },
  },
]
