// A token as a request carries it (RFC 6750), and whether what it gives is enough.
import type { Access } from '#identity/action.ts'
import type { Grant } from '#identity/scope.ts'

/** The token of an Authorization header; undefined for another scheme. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || !/^bearer /i.test(authorization.slice(0, 7))) return undefined
  const token = authorization.slice(7).trim()
  return token === '' ? undefined : token
}

/** Whether the grants of a token allow what a request wants. Any token will do for what needs no right. */
export function isGranted(grants: readonly Grant[], wanted: Access): boolean {
  if (wanted.type === 'version') return true
  if (wanted.type === 'catalog') return grants.some(({ type }) => type === 'registry')
  const own = grants.filter((grant) => grant.type === 'repository' && grant.name === wanted.name)
  return wanted.actions.every((action) =>
    own.some((grant) => grant.actions.some((given) => given === action)),
  )
}
