// Who asks. A value: how it was proved is `access/`'s business.

export type Principal =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'user'
      readonly name: string
      /** Id of the API key that spoke for the user: it may allow less than the user may. */
      readonly key?: number
    }
  | { readonly kind: 'robot'; readonly name: string }

export const ANONYMOUS: Principal = { kind: 'anonymous' }

/** Undefined for whoever is no user: robots among them. */
export function userName(principal: Principal): string | undefined {
  return principal.kind === 'user' ? principal.name : undefined
}

/** The name for logs, events and metrics; undefined for an anonymous caller. A robot's has a `+`, which a user's never has. */
export function principalName(principal: Principal): string | undefined {
  return principal.kind === 'anonymous' ? undefined : principal.name
}
