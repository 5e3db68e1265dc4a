// What a request wants, as the token protocol writes it: `repository:team/app:pull,push registry:catalog:*`.
import type { Access } from '#identity/action.ts'

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
