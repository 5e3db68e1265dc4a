// The value of WWW-Authenticate: how a client can prove who it is (RFC 9110 section 11.6.1).

/** Basic authentication (RFC 7617). */
export function basicChallenge(realm: string): string {
  return `Basic realm=${quotedString(realm)}`
}

/** A token of the token server at `realm`. The scope is left out where any identity will do. */
export function bearerChallenge(realm: string, service: string, scope: string): string {
  const challenge = `Bearer realm=${quotedString(realm)},service=${quotedString(service)}`
  return scope === '' ? challenge : `${challenge},scope=${quotedString(scope)}`
}

/**
 * Every parameter is quoted: clients take them apart with regular expressions that know nothing else. What a header cannot
 * hold (controls, so line breaks, and all beyond ASCII) becomes a question mark.
 */
function quotedString(text: string): string {
  return `"${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
}
