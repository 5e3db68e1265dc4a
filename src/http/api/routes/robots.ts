// Accounts for machines: those of a project, and those of the whole registry.
import { z } from 'zod'
import {
  changeRobot,
  createRobot,
  getRobot,
  listRobots,
  removeRobot,
  rotateRobot,
} from '#access/management/manage-robots.ts'
import { permissionsSchema } from '#access/permissions.ts'
import { gone, named, page, shown } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, text, time, version, when } from '#http/api/schemas.ts'

const newRobot = z.strictObject({ name, permissions: permissionsSchema, expiresAt: when.nullish() })
const robotChange = z.strictObject({
  permissions: permissionsSchema.optional(),
  expiresAt: when.nullish(),
  disabled: z.boolean().optional(),
})
const rotation = z.strictObject({
  /** How long the old secret stays good. */
  overlapSeconds: z
    .int()
    .min(0)
    .max(30 * 24 * 3600)
    .default(0),
})
const robotMembers = {
  name: text,
  permissions: permissionsSchema,
  expiresAt: time.nullable(),
  disabled: z.boolean(),
  sponsor: text.nullable(),
  isOrphaned: z.boolean(),
  createdAt: time.nullable(),
  version,
}
const robot = z.object(robotMembers)
const robotWithSecret = z.object({ ...robotMembers, secret: text })

/** The same for robots of a project, and for those of the whole registry. */
function robotRoutes(base: string, needs: 'admin' | 'maintainer', whose: string): readonly ApiRoute[] {
  return [
    {
      method: 'GET',
      path: base,
      needs: needs === 'admin' ? 'auditor' : needs,
      about: `Lists the robots ${whose}, without their secrets.`,
      isList: true,
      reply: listOf(robot),
      handle: async ({ management, parameters, paging }) =>
        page(await listRobots(management, parameters['project'], paging)),
    },
    route({
      method: 'POST',
      path: base,
      needs,
      about: `Makes a robot ${whose}. Its secret is shown this once.`,
      body: newRobot,
      shownInAudit: ['name', 'permissions', 'expiresAt'],
      reply: robotWithSecret,
      handle: async ({ management, manager, parameters, body }) =>
        shown(await createRobot(management, manager, parameters['project'], body), 201),
    }),
    {
      method: 'GET',
      path: `${base}/:robot`,
      needs: needs === 'admin' ? 'auditor' : needs,
      about: `Shows a robot ${whose}, without its secret.`,
      reply: robot,
      handle: async ({ management, parameters }) =>
        shown(await getRobot(management, parameters['project'], named(parameters, 'robot'))),
    },
    route({
      method: 'PATCH',
      path: `${base}/:robot`,
      needs,
      about: `Changes a robot ${whose}. Who enables it answers for it: it stops when he leaves.`,
      isVersioned: true,
      body: robotChange,
      shownInAudit: ['permissions', 'expiresAt', 'disabled'],
      reply: robot,
      handle: async ({ management, manager, parameters, body, version }) =>
        shown(
          await changeRobot(
            management,
            manager,
            parameters['project'],
            named(parameters, 'robot'),
            body,
            version,
          ),
        ),
    }),
    route({
      method: 'POST',
      path: `${base}/:robot/secret`,
      needs,
      about: `Gives a robot ${whose} a new secret, shown this once; the old one stays good for a while.`,
      isVersioned: true,
      body: rotation,
      shownInAudit: ['overlapSeconds'],
      reply: robotWithSecret,
      handle: async ({ management, manager, parameters, body, version }) =>
        shown(
          await rotateRobot(
            management,
            manager,
            parameters['project'],
            named(parameters, 'robot'),
            body.overlapSeconds * 1_000,
            version,
          ),
          201,
        ),
    }),
    {
      method: 'DELETE',
      path: `${base}/:robot`,
      needs,
      about: `Deletes a robot ${whose}.`,
      isVersioned: true,
      async handle({ management, parameters, version }) {
        await removeRobot(management, parameters['project'], named(parameters, 'robot'), version)
        return gone
      },
    },
  ]
}

export const ROBOT_ROUTES: readonly ApiRoute[] = [
  ...robotRoutes('/projects/:project/robots', 'maintainer', 'of a project'),
  ...robotRoutes('/robots', 'admin', 'of the whole registry'),
]
