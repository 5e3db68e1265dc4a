// The audit log: read and taken away, never changed.
import { z } from 'zod'
import { auditSeals, listAudit } from '#access/management/read-audit.ts'
import { named, page } from '#http/api/answers.ts'
import { type ApiRoute, route } from '#http/api/route-table.ts'
import { filterText, listOf, time, when } from '#http/api/schemas.ts'

const result = z.enum(['done', 'refused', 'failed'])
const position = z.int().min(0)

/** Each is compared exactly: `_` and `%` are what they are. */
const filters = {
  action: filterText.optional(),
  result: result.optional(),
  actor: filterText.optional(),
  target: filterText.optional(),
  remote: filterText.optional(),
  since: when.optional(),
  until: when.optional(),
}

const entry = z.object({
  id: z.int(),
  position: position.nullable(),
  hash: z.string().nullable(),
  at: time,
  until: time.nullable(),
  count: z.int().min(1),
  action: z.string(),
  result,
  actor: z.string().nullable(),
  target: z.string().nullable(),
  project: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()).nullable(),
  remote: z.string().nullable(),
  userAgent: z.string().nullable(),
  requestId: z.string().nullable(),
})

const seals = z.object({
  checkpoints: z.array(
    z.object({
      position,
      hash: z.string(),
      at: time,
      kind: z.enum(['seal', 'cut']),
      kid: z.string(),
      signature: z.string(),
    }),
  ),
  keys: z.array(
    z.object({ kid: z.string(), jwk: z.record(z.string(), z.unknown()), createdAt: time.nullable() }),
  ),
})

const byId = z.enum(['-id', 'id'])

export const AUDIT_ROUTES: readonly ApiRoute[] = [
  route({
    method: 'GET',
    path: '/audit',
    needs: 'auditor',
    about:
      'Lists the audit log, the newest entry first. By `position` it is the chain: without what is not sealed yet. A page of a filter that matches little may hold fewer entries than asked for, and go on.',
    isList: true,
    query: z.strictObject({
      ...filters,
      project: filterText.optional(),
      sort: z.enum(['-id', 'id', 'position']).default('-id'),
    }),
    reply: listOf(entry),
    handle: async ({ management, query, paging }) => page(await listAudit(management, query, paging)),
  }),
  route({
    method: 'GET',
    path: '/audit/checkpoints',
    needs: 'auditor',
    about: 'Shows where the chain of the audit log stands, signed, and the keys that sign.',
    reply: seals,
    handle: async ({ management }) => ({ status: 200, body: await auditSeals(management) }),
  }),
  route({
    method: 'GET',
    path: '/projects/:project/audit',
    needs: 'maintainer',
    about: 'Lists what the audit log tells of a project, the newest entry first.',
    isList: true,
    query: z.strictObject({ ...filters, sort: byId.default('-id') }),
    reply: listOf(entry),
    handle: async ({ management, parameters, query, paging }) =>
      page(await listAudit(management, { ...query, project: named(parameters, 'project') }, paging)),
  }),
]
