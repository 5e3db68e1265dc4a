// registry:2's `auth.token`: tokens of a token server elsewhere, which knows the users and their rights.
import {
  type Authenticator,
  type RequestFacts,
  type SentCredentials,
  unauthorized,
} from '#access/authenticate.ts'
import { bearerToken, isGranted } from '#access/tokens/bearer-token.ts'
import { TOKEN_ALGORITHMS, TokenRefused } from '#access/tokens/signed-claims.ts'
import { type KeyFiles, readKeyFiles } from '#access/tokens/token-key-files.ts'
import type { TokenKeys } from '#access/tokens/token-keys.ts'
import { TokenVerifier, type VerifiedToken } from '#access/tokens/token-verifier.ts'
import type { Access } from '#identity/action.ts'
import { bearerChallenge, type TokenFault } from '#identity/challenge.ts'
import type { Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import { formatScopes } from '#identity/scope.ts'
import type { ErrorReason } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

export interface TokenAuthOptions {
  /** Where clients get tokens: a URL, or a path at the address by which they reach us, which `origin` may fix. */
  readonly realm: string | { readonly path: string; readonly origin: string | undefined }
  /** Our own name, the audience of tokens. */
  readonly service: string
  readonly issuer: string
  readonly files: KeyFiles
  /** Those that TOKEN_ALGORITHMS has not are not accepted; empty for all. */
  readonly algorithms: readonly string[]
}

export class TokenAuthentication implements Authenticator {
  readonly #options: TokenAuthOptions
  readonly #log: Log
  readonly #now: () => number
  #verifier: TokenVerifier

  private constructor(options: TokenAuthOptions, keys: TokenKeys, log: Log, now: () => number) {
    this.#options = options
    this.#log = log
    this.#now = now
    this.#verifier = this.#verifierWith(keys)
  }

  /** @throws Error that names the file whose keys cannot be used */
  static async open(options: TokenAuthOptions, log: Log, now: () => number): Promise<TokenAuthentication> {
    return new TokenAuthentication(options, await readKeyFiles(options.files), log, now)
  }

  /** Reads the keys again, and forgets whom the old ones spoke for. Broken files change nothing. */
  async reload(): Promise<void> {
    try {
      this.#verifier = this.#verifierWith(await readKeyFiles(this.#options.files))
      this.#log.info('the keys of tokens were read')
    } catch (error) {
      this.#log.error('the keys of tokens cannot be used: the last good ones stay in force', {
        error: String(error),
      })
    }
  }

  async authenticate(
    { authorization }: SentCredentials,
    access: readonly Access[],
    facts: RequestFacts,
  ): Promise<Principal> {
    const token = bearerToken(authorization)
    if (token === undefined) throw this.#refusal('UNAUTHORIZED', undefined, access, facts)
    const verified = await this.#verified(token)
    if (!verified) throw this.#refusal('TOKEN_INVALID', 'invalid_token', access, facts)
    if (!access.every((wanted) => isGranted(verified.grants, wanted)))
      throw this.#refusal('SCOPE_INSUFFICIENT', 'insufficient_scope', access, facts)
    return verified.principal
  }

  /** What the token itself lets pull: the token server alone knows of more. */
  async mountSources({ authorization }: SentCredentials): Promise<Readable> {
    const token = bearerToken(authorization)
    const verified = token === undefined ? undefined : await this.#verified(token)
    return (name) => isGranted(verified?.grants ?? [], { type: 'repository', name, actions: ['pull'] })
  }

  async #verified(token: string): Promise<VerifiedToken | undefined> {
    try {
      return await this.#verifier.verify(token)
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      this.#log.debug('a token was refused', { why: error.message })
      return undefined
    }
  }

  #refusal(
    reason: ErrorReason,
    fault: TokenFault | undefined,
    access: readonly Access[],
    facts: RequestFacts,
  ) {
    const { realm, service } = this.#options
    const url =
      typeof realm === 'string' ? realm : (realm.origin ?? `${facts.scheme}://${facts.host}`) + realm.path
    return unauthorized(reason, bearerChallenge(url, service, formatScopes(access), fault), access)
  }

  #verifierWith(keys: TokenKeys): TokenVerifier {
    const { issuer, service, algorithms } = this.#options
    const accepted = TOKEN_ALGORITHMS.filter((name) => algorithms.length === 0 || algorithms.includes(name))
    return new TokenVerifier({ keys, issuer, audience: service, algorithms: accepted, now: this.#now })
  }
}
