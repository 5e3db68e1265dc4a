// Refusals of the management as problem documents (RFC 9457).
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { Refusal, type RefusalReason } from '#access/management/refusal.ts'
import { OciError } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

const STATUS: Record<RefusalReason, number> = {
  invalid: 400,
  forbidden: 403,
  unknown: 404,
  taken: 409,
  conflict: 409,
  stale: 412,
  unavailable: 503,
}

const TITLES: Record<number, string> = {
  400: 'The request cannot be used',
  401: 'Log in',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Not this method',
  409: 'Conflict',
  412: 'Changed meanwhile',
  413: 'Too large',
  415: 'Not this media type',
  429: 'Too many requests',
  500: 'A fault of the registry',
  503: 'Not now',
}

export class NotLoggedIn extends Error {
  /** At `Basic` a browser would ask for a password itself, where a page of ours should. */
  readonly challenge: string

  constructor(message: string, by: 'password' | 'session' = 'password') {
    super(message)
    this.challenge = `${by === 'password' ? 'Basic' : 'Session'} realm="Stowage"`
  }
}

export class NotJson extends Error {
  readonly statusCode = 415
}

export function renderError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  if (thrown instanceof z.ZodError) {
    const findings = thrown.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
    return problem(reply, 400, 'the body has members that cannot be used', { findings })
  }
  if (thrown instanceof Refusal) return problem(reply, STATUS[thrown.reason], thrown.message)
  if (thrown instanceof NotLoggedIn) {
    reply.header('WWW-Authenticate', thrown.challenge)
    return problem(reply, 401, thrown.message)
  }
  if (thrown instanceof OciError) {
    reply.headers(thrown.headers as Record<string, string>)
    return problem(reply, thrown.row.status, thrown.message)
  }
  const { statusCode, message } = thrown as { statusCode?: number; message?: string }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return problem(reply, statusCode, message ?? '')
  log.error('a request of the management failed', {
    method: request.method,
    route: request.routeOptions.url,
    error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
  })
  return problem(reply, 500, 'an unexpected error: the log of the registry has it')
}

export function problem(
  reply: FastifyReply,
  status: number,
  detail: string,
  more: object = {},
): FastifyReply {
  const title = TITLES[status] ?? 'Refused'
  return reply
    .code(status)
    .header('Content-Type', 'application/problem+json')
    .send(Buffer.from(JSON.stringify({ type: 'about:blank', title, status, detail, ...more })))
}
