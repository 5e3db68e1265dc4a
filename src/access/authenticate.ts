// Who is asking: one Authenticator for each way that the configuration may name.
import type { CertificateNames } from '#access/certificates/certificate-rules.ts'
import { parseBasic } from '#access/passwords/basic-credentials.ts'
import type { Htpasswd } from '#access/passwords/htpasswd.ts'
import type { Access } from '#identity/action.ts'
import { basicChallenge, bearerChallenge } from '#identity/challenge.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import { formatScopes, wantedActions } from '#identity/scope.ts'
import { type ErrorReason, OciError } from '#oci/errors.ts'

/** What of the request a challenge may need. */
export interface RequestFacts {
  /** As the client sees us: `registry.example:5000`. */
  readonly host: string
  readonly scheme: 'http' | 'https'
  /** Address of the client. */
  readonly remote: string
  /** What the verified certificate of the client says; absent where certificates do not count. */
  readonly certificate?: (() => CertificateNames | undefined) | undefined
  /** Told who it is as soon as that is known, so also of who is then refused. */
  readonly identified?: (principal: Principal) => void
}

export interface SentCredentials {
  readonly authorization?: string | undefined
}

export interface Authenticator {
  /**
   * @param access what the request wants to do
   * @throws OciError UNAUTHORIZED or CREDENTIALS_INVALID with a WWW-Authenticate header, or TOO_MANY_REQUESTS
   */
  authenticate(headers: SentCredentials, access: readonly Access[], facts: RequestFacts): Promise<Principal>
  /**
   * Where a mount may take a blob from: all that the sender may pull. Absent where everyone who came in may pull everything.
   * @throws nothing but failures of our own: who may not read gets a function that is always false
   */
  mountSources?(headers: SentCredentials, facts: RequestFacts): Promise<Readable>
  /** What the sender sees in a list of repositories; absent where that is everything. */
  listed?(headers: SentCredentials, facts: RequestFacts): Promise<Readable>
}

/** No authentication: everybody is anonymous, and credentials that a client sends along are not looked at. */
export const noAuthentication: Authenticator = {
  async authenticate() {
    return ANONYMOUS
  },
}

/** The users of an htpasswd file. There is one challenge, Basic: clients stumble over a second that they do not know. */
export function htpasswdAuthentication(htpasswd: Htpasswd, realm: string): Authenticator {
  const challenge = basicChallenge(realm)
  return {
    async authenticate({ authorization }, access) {
      if (!authorization) throw unauthorized('UNAUTHORIZED', challenge, access)
      const credentials = parseBasic(authorization)
      if (!credentials || !(await htpasswd.check(credentials.user, credentials.password)))
        throw unauthorized('CREDENTIALS_INVALID', challenge, access)
      return { kind: 'user', name: credentials.user }
    },
  }
}

/** registry:2's `silly`, for tests of clients: any Authorization header will do, whatever is in it. */
export function sillyAuthentication(realm: string, service: string): Authenticator {
  return {
    async authenticate({ authorization }, access) {
      if (authorization) return { kind: 'user', name: 'silly' }
      throw unauthorized('UNAUTHORIZED', bearerChallenge(realm, service, formatScopes(access)), access)
    },
  }
}

/** A refusal with status 401. */
export function unauthorized(reason: ErrorReason, challenge: string, access: readonly Access[]): OciError {
  return new OciError(reason, {
    detail: wantedActions(access),
    headers: { 'WWW-Authenticate': challenge },
  })
}
