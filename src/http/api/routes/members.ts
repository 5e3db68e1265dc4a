// Who may do what in a project.
import { z } from 'zod'
import { listMembers, removeMember, setMember } from '#access/management/manage-projects.ts'
import { Refusal } from '#access/management/refusal.ts'
import { gone, named } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name } from '#http/api/schemas.ts'
import { ROLES, type Role } from '#identity/role.ts'

const role = z.enum(ROLES as [Role, ...Role[]])

const memberRole = z.strictObject({ role })
const member = z.object({ kind: z.enum(['user', 'group']), name, role })

export const MEMBER_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects/:project/members',
    needs: 'member',
    about: 'Lists the members of a project.',
    reply: listOf(member),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listMembers(management, named(parameters, 'project')) },
    }),
  },
  route({
    method: 'PUT',
    path: '/projects/:project/members/:kind/:name',
    needs: 'owner',
    about: 'Gives a user or group (`users/alice`, `groups/team`) a role in a project.',
    body: memberRole,
    shownInAudit: ['role'],
    reply: member,
    async handle({ management, parameters, body }) {
      const member = { kind: memberKind(parameters), name: named(parameters, 'name'), role: body.role }
      return { status: 200, body: await setMember(management, named(parameters, 'project'), member) }
    },
  }),
  {
    method: 'DELETE',
    path: '/projects/:project/members/:kind/:name',
    needs: 'owner',
    about: 'Takes a user or group out of a project.',
    async handle({ management, parameters }) {
      const member = { kind: memberKind(parameters), name: named(parameters, 'name') }
      await removeMember(management, named(parameters, 'project'), member)
      return gone
    },
  },
]

function memberKind(parameters: Readonly<Record<string, string>>): 'user' | 'group' {
  const kind = named(parameters, 'kind')
  if (kind !== 'users' && kind !== 'groups') throw new Refusal('unknown', 'members are users or groups')
  return kind === 'users' ? 'user' : 'group'
}
