// Who asks. A value: how it was proved is `access/`'s business.

export type Principal = { readonly kind: 'anonymous' } | { readonly kind: 'user'; readonly name: string }

export const ANONYMOUS: Principal = { kind: 'anonymous' }

/** The name for logs, events and metrics; undefined for an anonymous caller. */
export function principalName(principal: Principal): string | undefined {
  return principal.kind === 'anonymous' ? undefined : principal.name
}
