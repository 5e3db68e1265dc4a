// One request of /v2/ from its headers to its last byte: route, rights, operation, reply, log, metrics, event.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Authenticator, RequestFacts } from '#access/authenticate.ts'
import type { RateLimits } from '#access/rates/rate-limits.ts'
import { type AwaitingContinue, bodySource, ClientGone, drainBody } from '#http/body.ts'
import type { ClientCertificates } from '#http/client-certificates.ts'
import { asOciError, errorReply } from '#http/errors.ts'
import type { Links } from '#http/links.ts'
import { ReaderGone, type Reply, sendReply } from '#http/send.ts'
import type { TransferWatch } from '#http/transfer-watch.ts'
import type { Context } from '#http/v2/context.ts'
import { accessFor, OPERATIONS } from '#http/v2/operations.ts'
import { type Match, matchRoute, type Route } from '#http/v2/route.ts'
import type { Caller } from '#identity/caller.ts'
import { ANONYMOUS, type Principal, principalName } from '#identity/principal.ts'
import { OciError } from '#oci/errors.ts'
import type { Registry } from '#registry/registry.ts'
import type { Log } from '#telemetry/log.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export interface V2Options {
  readonly registry: Registry
  readonly authenticator: Authenticator
  readonly links: Links
  /** Undefined where certificates of clients do not count. */
  readonly certificates?: ClientCertificates | undefined
  readonly watch: TransferWatch
  readonly awaitingContinue: AwaitingContinue
  readonly metrics: Metrics
  readonly log: Log
  /** False while a configured health check fails: everything is refused then, as registry:2 does. */
  readonly healthy: () => boolean
  /** One line a request; undefined where the access log is off. */
  readonly accessLog: Log | undefined
  /** On every reply: `http.headers` and our own. */
  readonly headers: OutgoingHttpHeaders
  readonly newRequestId: () => string
  /** Undefined where nobody is limited. */
  readonly limits?: RateLimits | undefined
  /** Hears of every refusal, once it is rendered. */
  readonly onRefused?: ((error: OciError, refused: Refused) => void) | undefined
}

/** A request that was refused. */
export interface Refused {
  readonly caller: Caller
  /** Undefined where the address is none of ours. */
  readonly route: Route | undefined
}

const NO_QUERY = new URLSearchParams()
const CLIENT_CLOSED_REQUEST = 499

/** What the log and the metrics tell of a request, filled in while it runs. */
interface Trace {
  readonly requestId: string
  readonly remote: string
  readonly startedAt: number
  principal: Principal
  route: Route | undefined
  context: Context | undefined
  /** Bytes of the bodies, so far. */
  received: number
  sent: number
  /** Bytes that the limits were told of before they moved. */
  announced: number
}

export class V2 {
  readonly #options: V2Options

  constructor(options: V2Options) {
    this.#options = options
  }

  /** Never rejects. `path` is what stands behind `/v2/`, without the query. */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
  ): Promise<void> {
    const { links, newRequestId, watch, headers } = this.#options
    const trace: Trace = {
      requestId: newRequestId(),
      remote: links.remote(request),
      startedAt: performance.now(),
      principal: ANONYMOUS,
      route: undefined,
      context: undefined,
      received: 0,
      sent: 0,
      announced: 0,
    }
    let reply: Reply
    try {
      reply = await this.#answer(request, response, path, query, trace)
    } catch (error) {
      if (error instanceof ClientGone || response.destroyed) {
        this.#finish(request, trace, CLIENT_CLOSED_REQUEST)
        return
      }
      reply = this.#refuse(error, trace, request)
    }
    this.#announce(trace, lengthOf(reply) + (trace.context?.sentElsewhere ?? 0))
    try {
      const complete = { ...reply, headers: { ...headers, ...reply.headers } }
      await sendReply(response, complete, watch, request.method === 'HEAD', trace)
      const durationMs = performance.now() - trace.startedAt
      if (reply.status < 400) trace.context?.afterReply?.(trace.sent, durationMs)
    } catch (error) {
      if (!(error instanceof ReaderGone)) {
        this.#options.log.error('a reply broke off', {
          requestId: trace.requestId,
          error: describeError(error),
        })
        response.destroy()
      }
    }
    this.#finish(request, trace, reply.status)
    if (!request.complete) drainBody(request)
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
    trace: Trace,
  ): Promise<Reply> {
    const { registry, links, watch, awaitingContinue, healthy, limits } = this.#options
    limits?.arrived(trace.remote)
    if (!healthy()) throw new OciError('UNAVAILABLE', { detail: 'a health check fails: see /debug/health' })
    const match = matchRoute(request.method ?? '', path)
    const route = known(match, request.method)
    trace.route = route
    const { authenticator } = this.#options
    const facts = lazyFacts(this.#options, request, trace)
    trace.principal = await authenticator.authenticate(request.headers, accessFor(route), facts)
    const caller = callerOf(request, trace, links)
    limits?.admit(caller)
    if (OPERATIONS[route.operation].moves) {
      limits?.mayMove(caller)
      this.#announce(trace, Number(request.headers['content-length'] ?? 0) || 0)
    }
    const context: Context = {
      registry,
      links,
      request,
      route,
      query: query === '' ? NO_QUERY : new URLSearchParams(query),
      caller,
      body: bodySource(request, response, watch, awaitingContinue, trace),
      limits,
      mountSources: async () =>
        authenticator.mountSources ? authenticator.mountSources(request.headers, facts) : 'everything',
      listed: async () =>
        authenticator.listed ? authenticator.listed(request.headers, facts) : 'everything',
      afterReply: undefined,
      digest: undefined,
      sentElsewhere: 0,
    }
    trace.context = context
    return OPERATIONS[route.operation].handle(context)
  }

  #refuse(thrown: unknown, trace: Trace, request: IncomingMessage): Reply {
    const error = asOciError(thrown)
    if (error.reason === 'CREDENTIALS_INVALID' || error.reason === 'TOKEN_INVALID')
      this.#options.metrics.authFailed()
    if (error.row.status >= 500) {
      this.#options.log.error('a request failed', {
        requestId: trace.requestId,
        operation: trace.route?.operation,
        repository: trace.route?.name,
        reason: error.reason,
        error: describeError(error.cause ?? error),
      })
    }
    this.#options.onRefused?.(error, {
      caller: callerOf(request, trace, this.#options.links),
      route: trace.route,
    })
    const reply = errorReply(error)
    return { ...reply, headers: { ...reply.headers, 'X-Request-Id': trace.requestId } }
  }

  /** Tells the limits of bytes that will move, or of how many it was in the end. Before a transfer, so that many at once count. */
  #announce(trace: Trace, bytes: number): void {
    const { limits } = this.#options
    if (!limits || !trace.route || !OPERATIONS[trace.route.operation].moves) return
    limits.moved(trace, bytes)
    trace.announced += bytes
  }

  #finish(request: IncomingMessage, trace: Trace, status: number): void {
    const { metrics, accessLog } = this.#options
    const durationMs = performance.now() - trace.startedAt
    const { received, sent } = trace
    this.#announce(trace, received + sent + (trace.context?.sentElsewhere ?? 0) - trace.announced)
    const method = request.method ?? ''
    metrics.request(trace.route?.operation ?? 'none', method, status, durationMs / 1_000, received, sent)
    if (!accessLog?.enabled('info')) return
    accessLog.info('request', {
      requestId: trace.requestId,
      remote: trace.remote,
      principal: principalName(trace.principal),
      method,
      path: request.url?.slice(0, 500),
      status,
      operation: trace.route?.operation,
      repository: trace.route?.name,
      digest: trace.context?.digest,
      received,
      sent,
      durationMs: Math.round(durationMs * 100) / 100,
      userAgent: request.headers['user-agent']?.slice(0, 300),
    })
  }
}

function callerOf(request: IncomingMessage, { principal, requestId, remote }: Trace, links: Links): Caller {
  const userAgent = request.headers['user-agent']?.slice(0, 300)
  return {
    principal,
    requestId,
    remote,
    userAgent,
    method: request.method,
    origin: () => links.base(request),
  }
}

/** Only a challenge needs to know how the client sees us; most requests never ask. */
function lazyFacts({ links, certificates }: V2Options, request: IncomingMessage, trace: Trace): RequestFacts {
  return {
    certificate: certificates && (() => certificates.namesOf(request)),
    remote: trace.remote,
    identified(principal) {
      trace.principal = principal
    },
    get host() {
      return links.origin(request).host
    },
    get scheme() {
      return links.origin(request).scheme
    },
  }
}

/** Bytes of the body, as far as they are known before it goes out. */
function lengthOf({ headers, body }: Reply): number {
  if (body === undefined) return 0
  if (typeof body === 'string' || Buffer.isBuffer(body)) return body.length
  return Number(headers['Content-Length'] ?? 0)
}

function known(match: Match | undefined, method: string | undefined): Route {
  if (match === undefined) throw new OciError('ROUTE_UNKNOWN')
  if (match.operation !== undefined) return match
  throw new OciError('METHOD_UNSUPPORTED', {
    detail: { method, allow: match.allow },
    headers: { Allow: match.allow },
  })
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
