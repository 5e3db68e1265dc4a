// Groups of users.
import { z } from 'zod'
import {
  changeGroupMember,
  createGroup,
  listGroupMembers,
  listGroups,
  removeGroup,
} from '#access/management/manage-users.ts'
import { gone, named, page } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { justName, listOf, name, time } from '#http/api/schemas.ts'

const group = z.object({ name, createdAt: time.nullable() })

export const GROUP_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/groups',
    needs: 'auditor',
    about: 'Lists groups by name.',
    isList: true,
    reply: listOf(group),
    handle: async ({ management, paging }) => page(await listGroups(management, paging)),
  },
  route({
    method: 'POST',
    path: '/groups',
    needs: 'admin',
    about: 'Makes a group.',
    body: justName,
    shownInAudit: ['name'],
    reply: justName,
    handle: async ({ management, body }) => ({ status: 201, body: await createGroup(management, body.name) }),
  }),
  {
    method: 'DELETE',
    path: '/groups/:group',
    needs: 'admin',
    about: 'Deletes a group; its members stay.',
    async handle({ management, parameters }) {
      await removeGroup(management, named(parameters, 'group'))
      return gone
    },
  },
  {
    method: 'GET',
    path: '/groups/:group/members',
    needs: 'auditor',
    about: 'Lists the members of a group.',
    isList: true,
    reply: listOf(justName),
    handle: async ({ management, parameters, paging }) =>
      page(await listGroupMembers(management, named(parameters, 'group'), paging)),
  },
  ...([true, false] as const).map(
    (isMember): ApiRoute => ({
      method: isMember ? 'PUT' : 'DELETE',
      path: '/groups/:group/members/:user',
      needs: 'admin',
      about: isMember ? 'Puts a user into a group.' : 'Takes a user out of a group.',
      async handle({ management, parameters }) {
        await changeGroupMember(management, named(parameters, 'group'), named(parameters, 'user'), isMember)
        return gone
      },
    }),
  ),
]
