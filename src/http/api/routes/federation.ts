// Rules that let jobs of others speak for a robot.
import { z } from 'zod'
import { claimPatternsSchema } from '#access/federation/claim-rules.ts'
import {
  createFederationRule,
  listFederationRules,
  removeFederationRule,
} from '#access/management/manage-federation.ts'
import { gone, named } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { listOf, name, text, time } from '#http/api/schemas.ts'

const newRule = z.strictObject({ name, issuer: text.min(1), claims: claimPatternsSchema })
const rule = z.object({
  name,
  issuer: text,
  claims: z.record(z.string(), z.string()),
  createdAt: time.nullable(),
})

/** The same for robots of a project, and for those of the whole registry. */
function ruleRoutes(base: string, needs: 'admin' | 'maintainer', whose: string): readonly ApiRoute[] {
  const path = `${base}/:robot/federation`
  return [
    {
      method: 'GET',
      path,
      needs: needs === 'admin' ? 'auditor' : needs,
      about: `Lists whose jobs may speak for a robot ${whose}.`,
      reply: listOf(rule),
      handle: async ({ management, parameters }) => ({
        status: 200,
        body: {
          items: await listFederationRules(management, parameters['project'], named(parameters, 'robot')),
        },
      }),
    },
    route({
      method: 'POST',
      path,
      needs,
      about: `Lets jobs whose claims match speak for a robot ${whose}.`,
      body: newRule,
      reply: rule,
      handle: async ({ management, parameters, body }) => ({
        status: 201,
        body: await createFederationRule(management, parameters['project'], named(parameters, 'robot'), body),
      }),
    }),
    {
      method: 'DELETE',
      path: `${path}/:rule`,
      needs,
      about: `Takes a rule from a robot ${whose}.`,
      async handle({ management, parameters }) {
        const [robot, ruleName] = [named(parameters, 'robot'), named(parameters, 'rule')]
        await removeFederationRule(management, parameters['project'], robot, ruleName)
        return gone
      },
    },
  ]
}

export const FEDERATION_ROUTES: readonly ApiRoute[] = [
  ...ruleRoutes('/projects/:project/robots', 'maintainer', 'of a project'),
  ...ruleRoutes('/robots', 'admin', 'of the whole registry'),
]
