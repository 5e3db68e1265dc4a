// Answers the challenges of one registry: Basic, and Bearer with tokens kept by scope and refreshed before they expire.
import { type Challenge, parseChallenges } from '#client/challenge.ts'
import { ClientError } from '#client/client-error.ts'
import type { Credentials } from '#client/credentials.ts'
import { mayReceiveCredentials, type RealmRule } from '#client/realm-trust.ts'
import { Retries, type RetryOptions, type Waiting } from '#client/retry.ts'
import { covers, mergeScopes } from '#client/scope.ts'
import { basicHeader, requestToken, secretsOf, type Token } from '#client/token-service.ts'
import type { Transport } from '#client/transport.ts'

export interface AuthOptions {
  /** The origin of the registry: where what is answered here is sent, and nowhere else. */
  readonly registry: URL
  readonly credentials: Credentials | undefined
  readonly realmRule: RealmRule
  readonly transport: Transport
  readonly retry: RetryOptions
  readonly waiting: Waiting
}

interface BearerScheme {
  readonly kind: 'bearer'
  readonly realm: URL
  readonly service: string | undefined
}
type Scheme = BearerScheme | { readonly kind: 'basic' }

interface CachedToken {
  readonly scopes: readonly string[]
  readonly token: Promise<Token>
  /** Known once the token is there. */
  value?: string
  /** Milliseconds since 1970 from which a new one is asked for. */
  renewAt: number
}

const TOKENS_MAX = 512
/** A token is renewed so long before its end, or at three quarters of a short life. */
const RENEW_EARLY_MS = 30_000

/** One for each registry and identity. */
export class Auth {
  readonly #options: AuthOptions
  readonly #tokens: CachedToken[] = []
  #scheme: Scheme | undefined

  constructor(options: AuthOptions) {
    this.#options = options
  }

  /** The Authorization header for a request that needs these scopes; undefined while the registry has not asked for one. */
  async header(scopes: readonly string[]): Promise<string | undefined> {
    const { credentials } = this.#options
    if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`
    const scheme = this.#scheme
    if (scheme === undefined) return undefined
    if (scheme.kind === 'basic') {
      return credentials?.kind === 'password'
        ? basicHeader(credentials.username, credentials.password)
        : undefined
    }
    return `Bearer ${await this.#token(scheme, mergeScopes(scopes))}`
  }

  /**
   * Takes a 401 in. Returns the header to try now; undefined when nothing better than `used` can be offered.
   * @param used the header that was refused
   */
  async answer(
    authenticate: string | undefined,
    scopes: readonly string[],
    used: string | undefined,
  ): Promise<string | undefined> {
    const challenges = parseChallenges(authenticate ?? '')
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters['realm'])
    if (bearer) {
      const scheme = this.#bearerScheme(bearer)
      this.#scheme = scheme
      if (this.#options.credentials?.kind === 'registry-token') return undefined
      const wanted = mergeScopes([...scopes, bearer.parameters['scope'] ?? ''])
      this.#forget(used)
      return `Bearer ${await this.#token(scheme, wanted)}`
    }
    if (challenges.some(({ scheme }) => scheme === 'basic')) {
      this.#scheme = { kind: 'basic' }
      const header = await this.header(scopes)
      return header === used ? undefined : header
    }
    return undefined
  }

  /** What must never be seen in an error or a log. */
  secrets(): string[] {
    const values = this.#tokens.map(({ value }) => value).filter((value) => value !== undefined)
    return [...secretsOf(this.#options.credentials), ...values]
  }

  #bearerScheme({ parameters }: Challenge): BearerScheme {
    const realm = URL.parse(parameters['realm'] ?? '', this.#options.registry.href)
    if (!realm || (realm.protocol !== 'https:' && realm.protocol !== 'http:')) {
      throw new ClientError(
        'refused',
        `${this.#options.registry.host} names a token service that is not a URL`,
      )
    }
    return { kind: 'bearer', realm, service: parameters['service'] }
  }

  async #token(scheme: BearerScheme, scopes: readonly string[]): Promise<string> {
    const now = this.#options.waiting.now()
    const cached = this.#tokens.find((entry) => entry.renewAt > now && covers(entry.scopes, scopes))
    if (cached) return (await cached.token).value
    const entry: CachedToken = {
      scopes,
      token: this.#fetch(scheme, scopes),
      renewAt: Number.POSITIVE_INFINITY,
    }
    this.#drop((other) => other.renewAt <= now || other.scopes.join(' ') === scopes.join(' '))
    if (this.#tokens.length >= TOKENS_MAX) this.#tokens.shift()
    this.#tokens.push(entry)
    try {
      const token = await entry.token
      const life = token.expiresAt - this.#options.waiting.now()
      entry.value = token.value
      entry.renewAt = token.expiresAt - Math.min(RENEW_EARLY_MS, life / 4)
      return token.value
    } catch (error) {
      this.#drop((other) => other === entry)
      throw error
    }
  }

  async #fetch(scheme: BearerScheme, scopes: readonly string[]): Promise<Token> {
    const { registry, transport, waiting, retry, realmRule } = this.#options
    const trusted = mayReceiveCredentials(registry, scheme.realm, realmRule)
    const credentials = trusted ? this.#options.credentials : undefined
    const retries = new Retries(retry, waiting)
    for (;;) {
      try {
        return await requestToken(transport, { ...scheme, scopes, credentials }, waiting)
      } catch (error) {
        if (
          !trusted &&
          this.#options.credentials &&
          error instanceof ClientError &&
          error.kind === 'unauthorized'
        ) {
          throw untrustedRealm(registry, scheme.realm, error)
        }
        await retries.after(error, undefined)
      }
    }
  }

  #forget(header: string | undefined): void {
    if (header?.startsWith('Bearer ')) this.#drop((entry) => entry.value === header.slice('Bearer '.length))
  }

  #drop(which: (entry: CachedToken) => boolean): void {
    for (let at = this.#tokens.length - 1; at >= 0; at--) {
      const entry = this.#tokens[at]
      if (entry && which(entry)) this.#tokens.splice(at, 1)
    }
  }

  /** True when the credentials were withheld from the realm that the registry named. */
  get withheld(): boolean {
    const { registry, credentials, realmRule } = this.#options
    return (
      this.#scheme?.kind === 'bearer' &&
      credentials !== undefined &&
      !mayReceiveCredentials(registry, this.#scheme.realm, realmRule)
    )
  }

  /** The realm that the registry named, for errors. */
  get realm(): URL | undefined {
    return this.#scheme?.kind === 'bearer' ? this.#scheme.realm : undefined
  }
}

export function untrustedRealm(registry: URL, realm: URL, cause: unknown): ClientError {
  return new ClientError(
    'unsafe',
    `${registry.host} asks to send its password to ${realm.host}, which is not known to belong to it`,
    { cause, hint: `if it does, name ${realm.hostname} as a trusted realm of ${registry.host}` },
  )
}
