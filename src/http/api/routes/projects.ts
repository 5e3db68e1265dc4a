// Projects, which repositories belong to.
import { z } from 'zod'
import {
  changeProject,
  createProject,
  getProject,
  listProjects,
  removeProject,
} from '#access/management/manage-projects.ts'
import { gone, named, page, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, time, version } from '#http/api/schemas.ts'
import { VISIBILITIES, type Visibility } from '#identity/role.ts'

const visibility = z.enum(VISIBILITIES as [Visibility, ...Visibility[]])

const newProject = z.strictObject({ name, visibility: visibility.default('private') })
const projectChange = z.strictObject({ visibility: visibility.optional() })
const project = z.object({ name, visibility, createdAt: time.nullable(), version })

export const PROJECT_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/projects',
    needs: 'person',
    about: 'Lists the projects that you may pull from.',
    isList: true,
    reply: listOf(project),
    handle: async ({ management, manager, paging }) => page(await listProjects(management, manager, paging)),
  },
  route({
    method: 'POST',
    path: '/projects',
    needs: 'founder',
    about:
      'Makes a project, and you its owner. Repositories of that name that are in no project come into it; only an admin can do that.',
    body: newProject,
    shownInAudit: ['name', 'visibility'],
    reply: project,
    handle: async ({ management, manager, body }) =>
      shown(await createProject(management, manager, body), 201),
  }),
  {
    method: 'GET',
    path: '/projects/:project',
    needs: 'reader',
    about: 'Shows a project.',
    reply: project,
    handle: async ({ management, parameters }) =>
      shown(await getProject(management, named(parameters, 'project'))),
  },
  route({
    method: 'PATCH',
    path: '/projects/:project',
    needs: 'maintainer',
    about: 'Changes who may pull without being a member.',
    isVersioned: true,
    body: projectChange,
    shownInAudit: ['visibility'],
    reply: project,
    handle: async ({ management, parameters, body, version }) =>
      shown(await changeProject(management, named(parameters, 'project'), body, version)),
  }),
  {
    method: 'DELETE',
    path: '/projects/:project',
    needs: 'owner',
    about: 'Deletes an empty project, with its members and robots.',
    isVersioned: true,
    async handle({ management, parameters, version }) {
      await removeProject(management, named(parameters, 'project'), version)
      return gone
    },
  },
]
