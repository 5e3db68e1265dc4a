// Which user or robot a client certificate speaks for. That it is one of our authorities is known by then.
import { isRobotName, isUserName } from '#identity/account-name.ts'
import type { Principal } from '#identity/principal.ts'
import { matchesGlob } from '#lib/glob.ts'

/** What a verified certificate calls its holder. */
export interface CertificateNames {
  readonly commonNames: readonly string[]
  readonly dns: readonly string[]
  readonly emails: readonly string[]
  /** A SPIFFE id is one of these. */
  readonly uris: readonly string[]
}

export type NameKind = 'cn' | 'dns' | 'email' | 'uri'

export interface CertificateRule {
  readonly from: NameKind
  /** `*` stays within a part between slashes, `**` crosses them. */
  readonly pattern: string
  /** A user or robot; `{name}` is the name in the certificate. */
  readonly account: string
}

/** Of the first rule that matches. Undefined for nobody, also where the rule makes no name that could be one. */
export function principalOf(
  names: CertificateNames,
  rules: readonly CertificateRule[],
): Principal | undefined {
  for (const { from, pattern, account } of rules) {
    const name = namesOf(names, from).find((one) => matchesGlob(pattern, one))
    if (name === undefined) continue
    const text = account.replaceAll('{name}', () => name)
    if (isRobotName(text)) return { kind: 'robot', name: text }
    return isUserName(text) ? { kind: 'user', name: text } : undefined
  }
  return undefined
}

/** Two common names, or two URIs (which a SPIFFE id must not have), leave open who is meant. */
function namesOf(names: CertificateNames, from: NameKind): readonly string[] {
  switch (from) {
    case 'cn':
      return names.commonNames.length === 1 ? names.commonNames : []
    case 'uri':
      return names.uris.length === 1 ? names.uris : []
    case 'dns':
      return names.dns
    case 'email':
      return names.emails
  }
}
