// The document of the management API, out of the same table that serves it.
import { z } from 'zod'
import { AFTER_CHARS_MAX } from '#http/api/request-parts.ts'
import { type ApiRoute, type ContentNeeds, type Needs, PAGE_MAX } from '#http/api/route-table.ts'
import { problem } from '#http/api/schemas.ts'

const WHO: Record<Needs | ContentNeeds, string> = {
  person: 'anybody who logs in',
  founder: 'admins, and with auth.stowage.projectcreation: everyone for anybody who logs in',
  auditor: 'auditors and admins',
  admin: 'admins',
  reader: 'who may pull from the project, auditors and admins',
  member: 'members of the project, auditors and admins',
  maintainer: 'maintainers and owners of the project, and admins',
  owner: 'owners of the project, and admins',
  visitor: 'whoever logs in, or everybody where there is no login; it shows what he may pull',
  pull: 'who may pull from the repository',
  delete: 'who may delete in the repository',
  operator: 'admins; everybody where the registry has no users of its own',
  overseer: 'auditors and admins; everybody where the registry has no users of its own',
}

/** OpenAPI 3.1. `base` is the path that all routes begin with. */
export function openApiDocument(base: string, rows: readonly ApiRoute[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const row of rows) {
    const path = row.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operationOf(row) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Stowage management API',
      version: '1',
      description: 'Users, groups, projects, robots and keys; repositories, tags and manifests.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: base }],
    security: [{ basic: [] }],
    paths,
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
      schemas: { Problem: jsonSchema(problem, 'output') },
    },
  }
}

const PROBLEM = {
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

function operationOf(row: ApiRoute): object {
  const { method, path, about, needs, body, query, reply, isList, pageMax = PAGE_MAX, isVersioned } = row
  const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'kind' ? { type: 'string', enum: ['users', 'groups'] } : { type: 'string' },
  }))
  const paging = [
    { name: 'after', in: 'query', schema: { type: 'string', maxLength: AFTER_CHARS_MAX } },
    { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: pageMax } },
  ]
  const matching = { name: 'If-Match', in: 'header', schema: { type: 'string' } }
  const status = reply === undefined ? '204' : method === 'POST' ? '201' : '200'
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/[/:]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: about,
    description: `For ${WHO[needs]}${needs === 'maintainer' && method === 'GET' ? '; auditors too' : ''}.`,
    parameters: [
      ...parameters,
      ...(query ? queryParameters(query) : []),
      ...(isList ? paging : []),
      ...(isVersioned ? [matching] : []),
    ],
    ...(body && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: jsonSchema(body, 'input') } },
      },
    }),
    responses: {
      [status]: {
        description: reply === undefined ? 'Done.' : 'What there is now.',
        ...(reply && { content: { 'application/json': { schema: jsonSchema(reply, 'output') } } }),
      },
      '4XX': { description: 'A refusal: `detail` says why, and what to do.', ...PROBLEM },
      default: { description: 'A fault of the registry, or it cannot serve this now.', ...PROBLEM },
    },
  }
}

function queryParameters(query: z.ZodObject): object[] {
  return Object.entries(query.shape).map(([name, value]) => ({
    name,
    in: 'query',
    schema: jsonSchema(value as z.ZodType, 'input'),
  }))
}

/** Of what is taken, before a date becomes a number; or of what is given. */
function jsonSchema(of: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(of, { io, unrepresentable: 'any' })
  return rest
}
