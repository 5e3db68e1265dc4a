// The registry's own users and tokens: who asks, and whether his name and the repository's name allow it.
//
// A right is decided by names alone. Whether something exists is looked at later, by those who may see it: so a refusal
// tells nothing.
import type { Authenticator, RequestFacts, SentCredentials } from '#access/authenticate.ts'
import type { Directory } from '#access/directory.ts'
import { parseBasic } from '#access/passwords/basic-credentials.ts'
import type { Identity } from '#access/rights.ts'
import { bearerToken, isGranted } from '#access/tokens/bearer-token.ts'
import { TokenRefused } from '#access/tokens/signed-claims.ts'
import type { TokenVerifier, VerifiedToken } from '#access/tokens/token-verifier.ts'
import type { Access } from '#identity/action.ts'
import { bearerChallenge, type TokenFault } from '#identity/challenge.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import { formatScopes, wantedActions } from '#identity/scope.ts'
import { OciError } from '#oci/errors.ts'

export interface StowageAuthenticationOptions {
  readonly directory: Directory
  readonly verifier: TokenVerifier
  readonly service: string
  /** Where tokens are to be had, as the client of this request reaches us: an absolute URL. */
  readonly realm: (facts: RequestFacts) => string
}

const NOTHING: Readable = () => false

export class StowageAuthentication implements Authenticator {
  readonly #options: StowageAuthenticationOptions

  constructor(options: StowageAuthenticationOptions) {
    this.#options = options
  }

  async authenticate(
    headers: SentCredentials,
    access: readonly Access[],
    facts: RequestFacts,
  ): Promise<Principal> {
    const { authorization } = headers
    if (!authorization) return this.#byCertificate(access, facts)
    const token = bearerToken(authorization)
    if (token === undefined) return this.#byPassword(authorization, access, facts)
    const verified = await this.#verified(token, access, facts)
    facts.identified?.(verified.principal)
    const missing = access.filter((wanted) => !isGranted(verified.grants, wanted))
    if (missing.length === 0) return verified.principal
    if (verified.principal.kind === 'anonymous')
      throw this.#unauthorized(access, facts, { error: 'insufficient_scope' })
    const identity = await this.#options.directory.identityOf(verified.principal)
    if (!identity) throw this.#unauthorized(access, facts, { error: 'invalid_token' })
    await this.#allow(identity, missing)
    // He may, but this token does not say so: the client asks for one that does.
    throw this.#unauthorized(access, facts, { error: 'insufficient_scope' })
  }

  async mountSources(headers: SentCredentials, facts: RequestFacts): Promise<Readable> {
    const identity = await this.#identity(headers, facts)
    return identity ? this.#options.directory.readable(identity) : NOTHING
  }

  listed(headers: SentCredentials, facts: RequestFacts): Promise<Readable> {
    return this.mountSources(headers, facts)
  }

  async #byCertificate(access: readonly Access[], facts: RequestFacts): Promise<Principal> {
    const identity = await this.#certified(facts)
    if (!identity) throw this.#unauthorized(access, facts)
    facts.identified?.(identity.principal)
    await this.#allow(identity, access)
    return identity.principal
  }

  async #certified({ certificate }: RequestFacts): Promise<Identity | undefined> {
    const names = certificate?.()
    return names && this.#options.directory.identityByCertificate(names)
  }

  async #byPassword(
    authorization: string,
    access: readonly Access[],
    facts: RequestFacts,
  ): Promise<Principal> {
    const identity = await this.#bySecret(authorization, facts)
    if (!identity) throw this.#unauthorized(access, facts, { reason: 'CREDENTIALS_INVALID' })
    facts.identified?.(identity.principal)
    await this.#allow(identity, access)
    return identity.principal
  }

  async #bySecret(authorization: string, facts: RequestFacts): Promise<Identity | undefined> {
    const credentials = parseBasic(authorization)
    return credentials && this.#options.directory.identityBy(credentials, facts.remote)
  }

  async #verified(token: string, access: readonly Access[], facts: RequestFacts): Promise<VerifiedToken> {
    try {
      const verified = await this.#options.verifier.verify(token)
      for (const wanted of access) this.#refuseOlderThanProject(verified, wanted)
      return verified
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      throw this.#unauthorized(access, facts, { error: 'invalid_token', cause: error })
    }
  }

  /** A project that was deleted and made anew under its name is another one, and old tokens are not for it. */
  #refuseOlderThanProject({ issuedAtMs }: VerifiedToken, wanted: Access): void {
    if (wanted.type !== 'repository') return
    const deletedAt = this.#options.directory.deletedAt(wanted.name)
    // Tokens tell their time in whole seconds.
    if (deletedAt !== undefined && issuedAtMs < Math.ceil(deletedAt / 1_000) * 1_000)
      throw new TokenRefused('older than the deletion of the project')
  }

  /** @throws OciError DENIED, the same whether the repository exists or not */
  async #allow(identity: Identity, access: readonly Access[]): Promise<void> {
    for (const wanted of access) {
      if (wanted.type !== 'repository') continue
      const rights = await this.#options.directory.rightsIn(identity, wanted.name)
      if (wanted.actions.every((action) => rights.has(action))) continue
      throw new OciError('DENIED', { detail: wantedActions([wanted]) })
    }
  }

  /** Called after authenticate let the request in, so that what is sent is known to be good. */
  async #identity({ authorization }: SentCredentials, facts: RequestFacts): Promise<Identity | undefined> {
    const { directory, verifier } = this.#options
    if (!authorization) return this.#certified(facts)
    const token = bearerToken(authorization)
    if (token === undefined) return this.#bySecret(authorization, facts)
    const verified = await verifier.verify(token).catch(() => undefined)
    return directory.identityOf(verified?.principal ?? ANONYMOUS)
  }

  #unauthorized(
    access: readonly Access[],
    facts: RequestFacts,
    {
      error,
      reason = 'UNAUTHORIZED',
      cause,
    }: { error?: TokenFault; reason?: 'UNAUTHORIZED' | 'CREDENTIALS_INVALID'; cause?: unknown } = {},
  ): OciError {
    const { realm, service } = this.#options
    const challenge = bearerChallenge(realm(facts), service, formatScopes(access), error)
    return new OciError(reason, {
      detail: wantedActions(access),
      cause,
      headers: { 'WWW-Authenticate': challenge },
    })
  }
}
