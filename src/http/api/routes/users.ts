// People who log in.
import { z } from 'zod'
import {
  changeUser,
  createUser,
  getUser,
  listUsers,
  removeUser,
  setPassword,
} from '#access/management/manage-users.ts'
import { gone, named, page, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, password, TEXT_CHARS_MAX, text, time, version } from '#http/api/schemas.ts'

const PASSWORD_HASH_CHARS_MAX = 60

const systemRole = z.enum(['admin', 'auditor'])

const userInput = {
  email: z.email().max(TEXT_CHARS_MAX).nullish(),
  displayName: text.nullish(),
  systemRole: systemRole.nullish(),
}

/** A hash comes from the htpasswd file of another registry. */
const newUser = z
  .strictObject({
    name,
    password: password.optional(),
    passwordHash: z.string().max(PASSWORD_HASH_CHARS_MAX).optional(),
    ...userInput,
  })
  .refine(({ password, passwordHash }) => (password === undefined) !== (passwordHash === undefined), {
    message: 'a user has either a password or a passwordHash',
  })
const userChange = z.strictObject({ ...userInput, disabled: z.boolean().optional() })
const newPassword = z.strictObject({ password })
export const user = z.object({
  name,
  email: text.nullable(),
  displayName: text.nullable(),
  systemRole: systemRole.nullable(),
  disabled: z.boolean(),
  createdAt: time.nullable(),
  version,
})

export const USER_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/users',
    needs: 'auditor',
    about: 'Lists users by name.',
    isList: true,
    reply: listOf(user),
    handle: async ({ management, paging }) => page(await listUsers(management, paging)),
  },
  route({
    method: 'POST',
    path: '/users',
    needs: 'admin',
    about: 'Makes a user.',
    body: newUser,
    shownInAudit: ['name', 'systemRole'],
    reply: user,
    handle: async ({ management, body }) => shown(await createUser(management, body), 201),
  }),
  {
    method: 'GET',
    path: '/users/:user',
    needs: 'auditor',
    about: 'Shows a user.',
    reply: user,
    handle: async ({ management, parameters }) => shown(await getUser(management, named(parameters, 'user'))),
  },
  route({
    method: 'PATCH',
    path: '/users/:user',
    needs: 'admin',
    about: 'Changes a user. Disabling ends what he is logged in with.',
    isVersioned: true,
    body: userChange,
    shownInAudit: ['systemRole', 'disabled'],
    reply: user,
    handle: async ({ management, parameters, body, version }) =>
      shown(await changeUser(management, named(parameters, 'user'), body, version)),
  }),
  {
    method: 'DELETE',
    path: '/users/:user',
    needs: 'admin',
    about: 'Deletes a user, with his memberships and keys.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeUser(management, named(parameters, 'user'), version)
      return gone
    },
  },
  route({
    method: 'PUT',
    path: '/users/:user/password',
    needs: 'admin',
    about: 'Sets the password of a user.',
    isVersioned: true,
    body: newPassword,
    async handle({ management, parameters, body, version }) {
      await setPassword(management, named(parameters, 'user'), body.password, version)
      return gone
    },
  }),
]
