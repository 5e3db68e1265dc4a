// Where in the claims of a token something stands: by its name, or by a path of names with `/` between.

export type Claims = Readonly<Record<string, unknown>>

/** `groups`, `https://example.com/groups`, `realm_access/roles`, `kubernetes.io/serviceaccount/name`; own members alone. */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let at = path.indexOf('/')
  for (; at > 0; at = path.indexOf('/', at + 1)) {
    const name = path.slice(0, at)
    const inner = Object.hasOwn(claims, name) ? claims[name] : undefined
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      return claimAt(inner as Claims, path.slice(at + 1))
  }
  return undefined
}
