// One OpenID provider: its people come in here, by the authorization code flow with PKCE or by the device flow.
// https://openid.net/specs/openid-connect-core-1_0.html, RFC 7636, RFC 8628
import * as client from 'openid-client'
import { type Claims, claimAt } from '#access/claims.ts'
import { type ExternalAccount, type GroupMapping, groupNames } from '#access/external/external-account.ts'
import type { Confirmation, ExternalSource } from '#access/external/external-accounts.ts'
import { LoginRefused } from '#access/oidc/login-refused.ts'
import { Seal } from '#access/sealed.ts'
import type { ExternalIdentityRecord } from '#db/external-identities.ts'
import type { Outbound } from '#lib/outbound/outbound.ts'
import { outboundFetch } from '#lib/outbound/outbound-fetch.ts'

/** Of any reply of a provider. */
const REPLY_BYTES_MAX = 512 * 1024
const REQUEST_MS = 10_000
/** A provider moves its endpoints seldom, and says so long before. */
const METADATA_LIFE_MS = 3_600_000
const SUBJECT_CHARS_MAX = 255
const TEXT_CHARS_MAX = 255
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

export interface OidcOptions {
  /** In our addresses: `keycloak`. */
  readonly name: string
  /** For people: `Our company`. */
  readonly label: string
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: readonly string[]
  readonly nameClaim: string
  readonly groupsClaim: string
  /** Sent along when somebody is sent there, such as `access_type=offline` for Google. */
  readonly parameters: Readonly<Record<string, string>>
  readonly mapping: GroupMapping
  readonly provision: boolean
  readonly recheckMs: number
  readonly graceMs: number
  readonly loginLifeMs: number
}

/** What must come back with the browser. */
export interface PendingLogin {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
}

export interface LoggedIn {
  readonly account: ExternalAccount
  /** To be kept, and given back to `confirm`; null where the provider gave nothing. */
  readonly sealedGrant: string | null
}

export type DevicePoll =
  | { readonly kind: 'in'; readonly login: LoggedIn }
  | { readonly kind: 'pending'; readonly slower: boolean }
  | { readonly kind: 'denied' | 'expired' }

export class OidcSource implements ExternalSource {
  readonly issuer: string
  readonly options: OidcOptions
  readonly #outbound: Outbound
  readonly #seal: Seal
  readonly #now: () => number
  #known: { readonly configuration: Promise<client.Configuration>; readonly until: number } | undefined

  constructor(options: OidcOptions, outbound: Outbound, now: () => number) {
    this.options = options
    this.issuer = new URL(options.issuer).href
    this.#outbound = outbound
    this.#now = now
    // Without the secret of the client a grant is of no use to anybody, and without it nobody can read it here either.
    this.#seal = new Seal(options.clientSecret, `grants of ${this.issuer}`)
  }

  get name() {
    return this.options.name
  }
  get mapping() {
    return this.options.mapping
  }
  get provision() {
    return this.options.provision
  }
  get recheckMs() {
    return this.options.recheckMs
  }
  get graceMs() {
    return this.options.graceMs
  }
  get loginLifeMs() {
    return this.options.loginLifeMs
  }

  /** Where to send the browser. @throws Error when the provider cannot be reached */
  async begin(redirectUri: string): Promise<{ readonly url: URL; readonly pending: PendingLogin }> {
    const configuration = await this.#configuration()
    const pending = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
    }
    const url = client.buildAuthorizationUrl(configuration, {
      ...this.options.parameters,
      redirect_uri: redirectUri,
      scope: this.options.scopes.join(' '),
      response_type: 'code',
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
    })
    return { url, pending }
  }

  /** @param callback the address that the browser came back to, as it was given to `begin`. @throws LoginRefused */
  async finish(callback: URL, { state, nonce, verifier }: PendingLogin): Promise<LoggedIn> {
    const configuration = await this.#configuration()
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier }
    const tokens = await client.authorizationCodeGrant(configuration, callback, checks).catch((cause) => {
      throw new LoginRefused('the provider did not log anybody in', { cause: new Error(describe(cause)) })
    })
    return this.#loggedIn(configuration, tokens)
  }

  /** Whether its metadata names an address for devices. */
  async hasDevices(): Promise<boolean> {
    return (await this.#configuration()).serverMetadata().device_authorization_endpoint !== undefined
  }

  async beginDevice(): Promise<client.DeviceAuthorizationResponse> {
    return client.initiateDeviceAuthorization(await this.#configuration(), {
      scope: this.options.scopes.join(' '),
    })
  }

  /** Asks once. @throws LoginRefused */
  async pollDevice(deviceCode: string): Promise<DevicePoll> {
    const configuration = await this.#configuration()
    try {
      const tokens = await client.genericGrantRequest(configuration, DEVICE_GRANT, {
        device_code: deviceCode,
      })
      return { kind: 'in', login: await this.#loggedIn(configuration, tokens) }
    } catch (cause) {
      if (cause instanceof LoginRefused) throw cause
      switch (cause instanceof client.ResponseBodyError ? cause.error : undefined) {
        case 'authorization_pending':
          return { kind: 'pending', slower: false }
        case 'slow_down':
          return { kind: 'pending', slower: true }
        case 'access_denied':
          return { kind: 'denied' }
        case 'expired_token':
        case 'invalid_grant':
          return { kind: 'expired' }
        default:
          throw new LoginRefused('the provider did not log anybody in', { cause: new Error(describe(cause)) })
      }
    }
  }

  async confirm({ subject, sealedGrant }: ExternalIdentityRecord): Promise<Confirmation> {
    const grant = sealedGrant === null ? undefined : this.#seal.open(sealedGrant)
    if (grant === undefined) return { kind: 'no-grant' }
    try {
      const configuration = await this.#configuration()
      const tokens = await client.refreshTokenGrant(configuration, grant)
      const login = await this.#loggedIn(configuration, tokens, subject)
      return {
        kind: 'holds',
        account: login.account,
        // A provider that does not change the grant leaves it good.
        ...(login.sealedGrant !== null && { sealedGrant: login.sealedGrant }),
      }
    } catch (error) {
      if (error instanceof LoginRefused) return { kind: 'ended' }
      if (error instanceof client.ResponseBodyError && error.error === 'invalid_grant')
        return { kind: 'ended' }
      return { kind: 'unreachable', why: describe(error) }
    }
  }

  async #loggedIn(
    configuration: client.Configuration,
    tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
    expected?: string,
  ): Promise<LoggedIn> {
    const idClaims = tokens.claims()
    const subject = idClaims?.sub ?? expected
    if (subject === undefined) throw new LoginRefused('the provider sent no ID token')
    if (expected !== undefined && subject !== expected)
      throw new LoginRefused('the provider answered for somebody else')
    if (subject.length > SUBJECT_CHARS_MAX) throw new LoginRefused('the subject is too long')
    const claims = await this.#claims(configuration, tokens.access_token, idClaims, subject)
    const { refresh_token: grant } = tokens
    return {
      account: this.#account(subject, claims),
      sealedGrant: grant === undefined ? null : this.#seal.close(grant),
    }
  }

  /** What the ID token leaves out stands at the userinfo endpoint, whose subject must be the same. */
  async #claims(
    configuration: client.Configuration,
    accessToken: string,
    idClaims: Claims | undefined,
    subject: string,
  ): Promise<Claims> {
    const { nameClaim, groupsClaim } = this.options
    const isComplete =
      idClaims && [nameClaim, groupsClaim].every((path) => claimAt(idClaims, path) !== undefined)
    if (isComplete || configuration.serverMetadata().userinfo_endpoint === undefined) return idClaims ?? {}
    return { ...(await client.fetchUserInfo(configuration, accessToken, subject)), ...idClaims }
  }

  #account(subject: string, claims: Claims): ExternalAccount {
    const { nameClaim, groupsClaim } = this.options
    const text = (value: unknown) =>
      typeof value === 'string' && value !== '' ? value.slice(0, TEXT_CHARS_MAX) : null
    return {
      issuer: this.issuer,
      subject,
      name: text(claimAt(claims, nameClaim)) ?? text(claims['email']) ?? subject,
      email: claims['email_verified'] === false ? null : text(claims['email']),
      displayName: text(claims['name']),
      groups: groupNames(claimAt(claims, groupsClaim)),
    }
  }

  #configuration(): Promise<client.Configuration> {
    const known = this.#known
    if (known && this.#now() < known.until) return known.configuration
    const configuration = this.#discover()
    const until = this.#now() + METADATA_LIFE_MS
    this.#known = { configuration, until }
    configuration.catch(() => {
      if (this.#known?.configuration === configuration) this.#known = undefined
    })
    return configuration
  }

  async #discover(): Promise<client.Configuration> {
    const { clientId, clientSecret } = this.options
    const server = new URL(this.issuer)
    // In the clear only to what the operator listed.
    const isPlain = server.protocol === 'http:'
    const fetch = outboundFetch(this.#outbound, {
      bytesMax: REPLY_BYTES_MAX,
      timeoutMs: REQUEST_MS,
      plain: isPlain ? 'listed' : 'never',
    })
    return client.discovery(server, clientId, undefined, client.ClientSecretBasic(clientSecret), {
      [client.customFetch]: fetch as client.CustomFetch,
      timeout: REQUEST_MS / 1_000,
      // ID tokens are checked by their signatures too, not only by the connection that they came by.
      execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
    })
  }
}

/** One line, of an error and what caused it. */
function describe(error: unknown): string {
  if (error instanceof client.ResponseBodyError) return `${error.error}: ${error.error_description ?? ''}`
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
