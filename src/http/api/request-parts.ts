// The parts of a request of the API, as its row in the table allows them.
import type { FastifyRequest } from 'fastify'
import type { Paging } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import { NotJson } from '#http/api/problem.ts'
import { type ApiRoute, PAGE_MAX } from '#http/api/route-table.ts'

const PAGE_DEFAULT = 100
export const AFTER_CHARS_MAX = 512

export function pagingOf({ isList = false, pageMax = PAGE_MAX }: ApiRoute, request: FastifyRequest): Paging {
  const { after = '', limit = String(PAGE_DEFAULT) } = isList
    ? (request.query as Record<string, unknown>)
    : {}
  if (typeof after !== 'string' || after.length > AFTER_CHARS_MAX)
    throw new Refusal('invalid', 'after must be what the link to this page says')
  const count = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0
  if (count < 1 || count > pageMax)
    throw new Refusal('invalid', `limit must be a whole number from 1 to ${pageMax}`)
  return { after, limit: count }
}

/** Filters and sorts. What the row does not name is refused, not passed over: it would be a filter that filters nothing. */
export function queryOf({ isList = false, query }: ApiRoute, request: FastifyRequest): unknown {
  const sent = { ...(request.query as Record<string, unknown>) }
  const known = [...(isList ? ['after', 'limit'] : []), ...Object.keys(query?.shape ?? {})]
  const stray = Object.keys(sent).find((name) => !known.includes(name))
  if (stray !== undefined)
    throw new Refusal('invalid', `there is no parameter ${JSON.stringify(stray.slice(0, 50))} here`)
  if (!query) return undefined
  for (const name of ['after', 'limit']) delete sent[name]
  return query.parse(sent)
}

/**
 * A page of another site can make a browser post, with the password that it remembers, but not as JSON: for that the browser
 * asks us first. So there is no default for a body that is missing.
 */
export function bodyOf({ body }: ApiRoute, request: FastifyRequest): unknown {
  if (!body) return undefined
  if (request.body === undefined) throw new NotJson('send a body, as application/json')
  return body.parse(request.body)
}

/** `"v7"` out of If-Match; `*` matches any. Where it would not be heeded it is refused, not passed over. */
export function versionOf({ isVersioned }: ApiRoute, header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (!isVersioned) throw new Refusal('invalid', 'If-Match means nothing here: leave it out')
  if (header.trim() === '*') return undefined
  const version = /^\s*"v(\d{1,9})"\s*$/.exec(header)?.[1]
  if (version === undefined) throw new Refusal('stale', 'If-Match must be the ETag of an earlier answer')
  return Number(version)
}
