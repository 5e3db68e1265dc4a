// The value of WWW-Authenticate: how a client can prove who it is (RFC 9110 section 11.6.1).

/** Basic authentication (RFC 7617). */
export function basicChallenge(realm: string): string {
  return `Basic realm=${quotedString(realm)}`
}

/** Why a token did not do (RFC 6750 section 3.1). */
export type TokenFault = 'invalid_token' | 'insufficient_scope'

/** A token of the token server at `realm`. The scope is left out where any identity will do. */
export function bearerChallenge(realm: string, service: string, scope: string, fault?: TokenFault): string {
  const parameters = [
    `realm=${quotedString(realm)}`,
    `service=${quotedString(service)}`,
    ...(scope === '' ? [] : [`scope=${quotedString(scope)}`]),
    ...(fault === undefined ? [] : [`error=${quotedString(fault)}`]),
  ]
  return `Bearer ${parameters.join()}`
}

/**
 * Every parameter is quoted: clients take them apart with regular expressions that know nothing else. What a header cannot
 * hold (controls, so line breaks, and all beyond ASCII) becomes a question mark.
 */
function quotedString(text: string): string {
  return `"${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
}
