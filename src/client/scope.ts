// Token scopes: `repository:<name>:<actions>`, sorted and merged so that equal wishes share one token.
import type { RepositoryName } from '#oci/reference.ts'

export type ScopeAction = 'pull' | 'push' | 'delete'

export function repositoryScope(name: RepositoryName, ...actions: readonly ScopeAction[]): string {
  return `repository:${name}:${[...actions].sort().join(',')}`
}

export const CATALOG_SCOPE = 'registry:catalog:*'

/** Merges scopes of one resource into one, and sorts. Takes what a challenge says too, several in one text. */
export function mergeScopes(scopes: readonly string[]): string[] {
  const actionsOf = new Map<string, Set<string>>()
  for (const scope of scopes.flatMap((text) => text.split(' '))) {
    const cut = scope.lastIndexOf(':')
    if (cut <= 0) continue
    const actions = actionsOf.get(scope.slice(0, cut)) ?? new Set()
    for (const action of scope.slice(cut + 1).split(',')) if (action !== '') actions.add(action)
    actionsOf.set(scope.slice(0, cut), actions)
  }
  return [...actionsOf].map(([resource, actions]) => `${resource}:${[...actions].sort().join(',')}`).sort()
}

/** True when a token for `held` does for `wanted`. Both are merged lists. */
export function covers(held: readonly string[], wanted: readonly string[]): boolean {
  return mergeScopes([...held, ...wanted]).join(' ') === mergeScopes(held).join(' ')
}
