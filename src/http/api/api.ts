// `/api/v1`: management and content, over the table of routes.
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { AuditLog } from '#access/audit/audit-log.ts'
import type { Manager } from '#access/management/management.ts'
import type { RateLimits } from '#access/rates/rate-limits.ts'
import { auditChange, entryOf, noteRefusal } from '#http/api/audit-trail.ts'
import { type Doors, letManage, letVisit, repositoryOf, type Visitor } from '#http/api/door.ts'
import { openApiDocument } from '#http/api/openapi.ts'
import { NotLoggedIn, problem, renderError } from '#http/api/problem.ts'
import { bodyOf, pagingOf, queryOf, versionOf } from '#http/api/request-parts.ts'
import type { Answer, ApiRoute, ContentRoute, ManagementRoute, Overview } from '#http/api/route-table.ts'
import { API_ROUTES } from '#http/api/routes.ts'
import type { AwaitingContinue } from '#http/body.ts'
import { SECURITY_HEADERS } from '#http/security-headers.ts'
import { limitBodyTime } from '#http/small-bodies.ts'
import type { Caller } from '#identity/caller.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import type { JobQueue } from '#jobs/queue.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Registry } from '#registry/registry.ts'
import type { Log } from '#telemetry/log.ts'

export const API_BODY_BYTES_MAX = 64 * 1024
const USER_AGENT_CHARS_MAX = 300

export interface Api extends Doors {
  readonly registry: Registry
  readonly overview: Overview
  /** Undefined where the registry has no users. */
  readonly audit: AuditLog | undefined
  readonly jobs: JobQueue
  /** Undefined where nobody is limited. */
  readonly rates: RateLimits | undefined
  readonly log: Log
  readonly newRequestId: () => string
}

const HEADERS = { ...SECURITY_HEADERS, 'Cache-Control': 'no-store' }

export interface ApiLimits {
  readonly headerBytesMax: number
  /** Longest time for a body. */
  readonly bodyMs: number
}

/**
 * A server of its own, without a port: it and what it needs is loaded by the first request that wants it, and costs nothing
 * before.
 */
export async function openApi(
  prefix: string,
  api: Api,
  limits: ApiLimits,
  awaiting: AwaitingContinue,
): Promise<FastifyInstance> {
  const app = Fastify({
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: limits.headerBytesMax, caseSensitive: true },
    frameworkErrors: (_error, _request, reply) => {
      problem(reply as FastifyReply, 400, 'the address cannot be decoded')
    },
  })
  limitBodyTime(app, awaiting, limits.bodyMs)
  addApiRoutes(app, prefix, api)
  await app.ready()
  return app
}

function addApiRoutes(app: FastifyInstance, prefix: string, api: Api): void {
  const base = `${prefix}api/v1`
  const rows = API_ROUTES.filter((row) => row.isContent || api.management)
  const document = openApiDocument(base, rows)
  const callers: Callers = new WeakMap()
  app.register(
    async (scope) => {
      scope.removeContentTypeParser('text/plain')
      scope.addHook('onRequest', async (request, reply) => {
        const caller = callerOf(request, api)
        callers.set(request, caller)
        reply.headers({ ...HEADERS, 'X-Request-Id': caller.requestId })
        if (caller.remote !== undefined) api.rates?.arrived(caller.remote)
      })
      scope.setErrorHandler((error, request, reply) => renderError(error, request, reply, api.log))
      scope.setNotFoundHandler((request, reply) => refuseAddress(request, reply, base, rows))
      for (const row of rows) addRoute(scope, row, api, callers)
      scope.get('/openapi.json', (_request, reply) => reply.send(document))
    },
    { prefix: base },
  )
}

/** Who asks: nobody known, until the door has looked. */
type Callers = WeakMap<FastifyRequest, Caller>

function addRoute(scope: FastifyInstance, row: ApiRoute, api: Api, callers: Callers): void {
  const { letIn, answer } = row.isContent ? contentWork(row, api, callers) : managementWork(row, api, callers)
  scope.route({
    method: row.method,
    url: row.path,
    exposeHeadRoute: row.method === 'GET',
    bodyLimit: API_BODY_BYTES_MAX,
    // Before the body: who may not come in cannot make us read one either.
    onRequest: (request) =>
      letIn(request, (principal) => {
        const caller = { ...known(callers, request), principal }
        callers.set(request, caller)
        api.rates?.admit(caller)
      }),
    handler: async (request, reply) => sendAnswer(request, reply, await answer(request)),
    errorHandler: (error, request, reply) => {
      const { statusCode } = renderError(error, request, reply, api.log)
      if (api.audit) noteRefusal(api.audit, row, request, known(callers, request), statusCode)
    },
  })
}

interface Work {
  readonly letIn: (request: FastifyRequest, isKnown: (principal: Principal) => void) => Promise<void>
  readonly answer: (request: FastifyRequest) => Promise<Answer>
}

function managementWork(row: ManagementRoute, api: Api, callers: Callers): Work {
  const managers = new WeakMap<FastifyRequest, Manager>()
  const { management, links, audit } = api
  if (!management) throw new Error(`${row.path} needs users`)
  return {
    async letIn(request, isKnown) {
      managers.set(request, await letManage(row, request, { management, links }, isKnown))
    },
    async answer(request) {
      const manager = known(managers, request)
      const body = bodyOf(row, request)
      const call = {
        manager,
        ...partsOf(row, request),
        body: body as never,
        version: versionOf(row, request.headers['if-match']),
      }
      if (row.method === 'GET' || !audit) return row.handle({ ...call, management })
      const entry = entryOf(audit, row, request, known(callers, request), body)
      return auditChange(audit, management, entry, (audited) => row.handle({ ...call, management: audited }))
    },
  }
}

/** Pushes and deletes of content are in the audit log by their events. */
function contentWork(row: ContentRoute, api: Api, callers: Callers): Work {
  const visitors = new WeakMap<FastifyRequest, Visitor>()
  return {
    async letIn(request, isKnown) {
      visitors.set(request, await letVisit(row, request, api, isKnown))
    },
    async answer(request) {
      versionOf(row, request.headers['if-match'])
      return row.handle({
        registry: api.registry,
        jobs: api.jobs,
        overview: api.overview,
        caller: known(callers, request),
        readable: known(visitors, request).readable,
        ...partsOf(row, request),
        body: bodyOf(row, request) as never,
        get repository(): RepositoryName {
          return repositoryOf(request)
        },
      })
    },
  }
}

function known<T>(map: WeakMap<FastifyRequest, T>, request: FastifyRequest): T {
  const value = map.get(request)
  if (value === undefined) throw new NotLoggedIn('log in first')
  return value
}

function partsOf(row: ApiRoute, request: FastifyRequest) {
  return {
    parameters: request.params as Record<string, string>,
    paging: pagingOf(row, request),
    query: queryOf(row, request) as never,
  }
}

function callerOf({ raw, headers, method }: FastifyRequest, { newRequestId, links }: Api): Caller {
  return {
    principal: ANONYMOUS,
    requestId: newRequestId(),
    remote: links.remote(raw),
    userAgent: headers['user-agent']?.slice(0, USER_AGENT_CHARS_MAX),
    method,
    origin: () => links.base(raw),
  }
}

function sendAnswer(request: FastifyRequest, reply: FastifyReply, answer: Answer): FastifyReply {
  reply.code(answer.status)
  if (answer.version !== undefined) reply.header('ETag', `"v${answer.version}"`)
  if (answer.next !== undefined) reply.header('Link', `<${nextPage(request, answer.next)}>; rel="next"`)
  return answer.status === 204 ? reply.send() : reply.send(answer.body)
}

/** The same question from there on. */
function nextPage({ raw }: FastifyRequest, next: string): string {
  const [path, query] = (raw.url ?? '').split('?', 2)
  const parameters = new URLSearchParams(query)
  parameters.set('after', next)
  return `${path}?${parameters}`
}

/** No such address: 404; one that only knows other methods: 405. */
function refuseAddress(
  request: FastifyRequest,
  reply: FastifyReply,
  base: string,
  rows: readonly ApiRoute[],
): FastifyReply {
  const path = request.url.slice(base.length).replace(/\?.*$/s, '')
  const methods = rows.filter((row) => patternOf(row).test(path)).map(({ method }) => method)
  if (methods.length === 0) return problem(reply, 404, `there is no such address: see ${base}/openapi.json`)
  const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods
  reply.header('Allow', allowed.join(', '))
  return problem(reply, 405, `this address takes ${allowed.join(', ')}`)
}

function patternOf({ path }: ApiRoute): RegExp {
  return new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}$`)
}
