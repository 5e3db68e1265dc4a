// Browsers that people are logged in with.
import { z } from 'zod'
import { endSession, endSessions, listSessions } from '#access/management/manage-sessions.ts'
import { gone, named, nameOf } from '#http/api/answers.ts'
import type { ApiRoute } from '#http/api/route-table.ts'
import { listOf, text, time } from '#http/api/schemas.ts'

const session = z.object({
  id: z.int(),
  method: text,
  remote: text.nullable(),
  userAgent: z.string().nullable(),
  createdAt: time.nullable(),
  seenAt: time.nullable(),
  expiresAt: time.nullable(),
})

export const SESSION_ROUTES: readonly ApiRoute[] = [
  {
    method: 'GET',
    path: '/me/sessions',
    needs: 'person',
    about: 'Lists the browsers that you are logged in with.',
    reply: listOf(session),
    handle: async ({ management, manager }) => ({
      status: 200,
      body: { items: await listSessions(management, nameOf(manager)) },
    }),
  },
  {
    method: 'DELETE',
    path: '/me/sessions/:session',
    needs: 'person',
    about: 'Logs one of your browsers out.',
    async handle({ management, manager, parameters }) {
      await endSession(management, nameOf(manager), named(parameters, 'session'))
      return gone
    },
  },
  {
    method: 'GET',
    path: '/users/:user/sessions',
    needs: 'auditor',
    about: 'Lists the browsers that a user is logged in with.',
    reply: listOf(session),
    handle: async ({ management, parameters }) => ({
      status: 200,
      body: { items: await listSessions(management, named(parameters, 'user')) },
    }),
  },
  {
    method: 'DELETE',
    path: '/users/:user/sessions',
    needs: 'admin',
    about: 'Logs a user out of all browsers.',
    async handle({ management, parameters }) {
      await endSessions(management, named(parameters, 'user'))
      return gone
    },
  },
]
