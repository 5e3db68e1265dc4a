// What a request wants, as the token protocol writes it: `repository:team/app:pull,push registry:catalog:*`.
import type { Access, RepositoryAction } from '#identity/action.ts'

/** What may be done with one resource: what a client asks of a token server, and what a token gives. */
export type Grant =
  | { readonly type: 'repository'; readonly name: string; readonly actions: readonly RepositoryAction[] }
  | { readonly type: 'registry'; readonly name: 'catalog'; readonly actions: readonly ['*'] }

/** A wish. Its name is not checked: what is no repository name is nobody's to give. */
export type ParsedScope = Grant

export const SCOPE_CHARS_MAX = 8 * 1024
export const SCOPES_MAX = 100
export const CATALOG_GRANT: Grant = { type: 'registry', name: 'catalog', actions: ['*'] }

const REPOSITORY_ACTIONS: readonly RepositoryAction[] = ['pull', 'push', 'delete']
/** With the class that plugins had: `repository(plugin)`. */
const REPOSITORY_TYPE = /^repository(?:\([a-z0-9]+\))?$/

/** The scopes of one request, space-separated; empty where any identity will do. */
export function formatScopes(access: readonly Access[]): string {
  return access
    .map((wanted) => {
      if (wanted.type === 'repository') return `repository:${wanted.name}:${wanted.actions.join()}`
      return wanted.type === 'catalog' ? 'registry:catalog:*' : ''
    })
    .filter((scope) => scope !== '')
    .join(' ')
}

/** One action of one resource, as distribution names it in the detail of a 401. */
export interface WantedAction {
  readonly Type: string
  readonly Class: string
  readonly Name: string
  readonly Action: string
}

export function wantedActions(access: readonly Access[]): WantedAction[] {
  return access.flatMap((wanted): WantedAction[] => {
    if (wanted.type === 'repository')
      return wanted.actions.map((action) => ({
        Type: 'repository',
        Class: '',
        Name: wanted.name,
        Action: action,
      }))
    return wanted.type === 'catalog' ? [{ Type: 'registry', Class: '', Name: 'catalog', Action: '*' }] : []
  })
}

/**
 * The scopes that a client asks for, those of one resource merged into one. Unknown types and actions ask for nothing; what
 * goes beyond SCOPE_CHARS_MAX or SCOPES_MAX is not read. Never throws.
 */
export function parseScopes(text: string): ParsedScope[] {
  const actionsOf = new Map<string, Set<RepositoryAction>>()
  let catalog = false
  for (const scope of withinLimit(text).split(' ')) {
    // A name may hold the colon of a port, and neither a type nor an action holds any.
    const first = scope.indexOf(':')
    const last = scope.lastIndexOf(':')
    if (first < 0 || first === last) continue
    const type = scope.slice(0, first)
    const name = scope.slice(first + 1, last)
    const actions = scope.slice(last + 1).split(',')
    if (type === 'registry' && name === 'catalog') catalog ||= actions.includes('*')
    if (name === '' || !REPOSITORY_TYPE.test(type)) continue
    const known = knownActions(actions)
    if (known.length === 0) continue
    const merged = actionsOf.get(name) ?? new Set()
    for (const action of known) merged.add(action)
    if (actionsOf.size < SCOPES_MAX || actionsOf.has(name)) actionsOf.set(name, merged)
  }
  const repositories = [...actionsOf].map(
    ([name, actions]): ParsedScope => ({ type: 'repository', name, actions: [...actions] }),
  )
  return catalog ? [...repositories.slice(0, SCOPES_MAX - 1), CATALOG_GRANT] : repositories
}

/** The actions that we know, each once; `*` means all of them. */
export function knownActions(actions: readonly string[]): RepositoryAction[] {
  if (actions.includes('*')) return [...REPOSITORY_ACTIONS]
  return [...new Set(actions)].filter((action) => isRepositoryAction(action))
}

function isRepositoryAction(action: string): action is RepositoryAction {
  return (REPOSITORY_ACTIONS as readonly string[]).includes(action)
}

/** Only whole scopes: half a name would be another one. */
function withinLimit(text: string): string {
  if (text.length <= SCOPE_CHARS_MAX) return text
  return text.slice(0, text.lastIndexOf(' ', SCOPE_CHARS_MAX) + 1)
}

/** Grants as the token protocol writes them in a reply. */
export function formatGrants(grants: readonly Grant[]): string {
  return grants.map(({ type, name, actions }) => `${type}:${name}:${actions.join()}`).join(' ')
}
