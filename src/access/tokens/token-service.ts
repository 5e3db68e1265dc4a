// The built-in token server: who proves who he is gets a token for what he asked for, as far as he may.
import { randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import type { CertificateNames } from '#access/certificates/certificate-rules.ts'
import type { Directory } from '#access/directory.ts'
import type { Credentials } from '#access/passwords/basic-credentials.ts'
import { ANONYMOUS_IDENTITY, type Identity } from '#access/rights.ts'
import { hashSecret, isSecret, newSecret } from '#access/secrets.ts'
import { SIGNING_ALGORITHM, type SigningKeys } from '#access/tokens/signing-keys.ts'
import { TokenVerifier } from '#access/tokens/token-verifier.ts'
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { extendRefreshToken, findRefreshToken, insertRefreshToken } from '#db/refresh-tokens.ts'
import { isRobotName, isUserName } from '#identity/account-name.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import { CATALOG_GRANT, type Grant, type ParsedScope } from '#identity/scope.ts'
import { OciError } from '#oci/errors.ts'
import { isRepositoryName } from '#oci/reference.ts'

/** Clients that are told less may assume that a token is over already. */
export const TOKEN_LIFE_MS_MIN = 60_000
/** A refresh token is written again at most so often: every use would be a write. */
const EXTEND_AFTER_MS = 24 * 3_600_000
const CLIENT_ID_CHARS_MAX = 255
/** Grants beyond this are left out: in base64 the token would be longer than what we read (TOKEN_CHARS_MAX). */
const GRANTS_CHARS_MAX = 11 * 1024

export interface TokenServiceOptions {
  readonly db: Db
  readonly directory: Directory
  readonly keys: SigningKeys
  /** The audience of all tokens, and their issuer. */
  readonly service: string
  readonly tokenLifeMs: number
  readonly refreshLifeMs: number
  /** How far the clocks of processes may be apart. */
  readonly clockSkewMs: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export interface IssuedToken {
  readonly token: string
  readonly grants: readonly Grant[]
  readonly expiresInSec: number
  readonly issuedAtMs: number
}

export class TokenService {
  readonly #options: TokenServiceOptions
  /** Whose word counts on the tokens that were issued here. */
  readonly verifier: TokenVerifier

  constructor(options: TokenServiceOptions) {
    this.#options = options
    this.verifier = new TokenVerifier({
      keys: options.keys,
      issuer: options.service,
      audience: options.service,
      algorithms: [SIGNING_ALGORITHM],
      now: options.now,
      leewayMs: options.clockSkewMs,
      principalOf,
    })
  }

  get jwks() {
    return this.#options.keys.jwks
  }

  /** Nobody is anonymous. @throws OciError CREDENTIALS_INVALID, TOO_MANY_REQUESTS */
  async authenticate(
    credentials: Credentials | undefined,
    remote: string,
    certificate?: CertificateNames | undefined,
  ): Promise<Identity> {
    if (!credentials) {
      const certified = certificate && (await this.#options.directory.identityByCertificate(certificate))
      return certified ?? ANONYMOUS_IDENTITY
    }
    const identity = await this.#options.directory.identityBy(credentials, remote)
    if (!identity) throw new OciError('CREDENTIALS_INVALID')
    return identity
  }

  /** What is not granted is left out: that is no error. */
  async issue(identity: Identity, scopes: readonly ParsedScope[]): Promise<IssuedToken> {
    const { service, keys, now } = this.#options
    const grants: Grant[] = []
    let chars = 0
    for (const scope of scopes) {
      const granted = await this.#granted(identity, scope)
      if (!granted) continue
      chars += JSON.stringify(granted).length + 1
      if (chars > GRANTS_CHARS_MAX) break
      grants.push(granted)
    }
    const issuedAtMs = now()
    const untilMs = (identity.kind === 'robot' ? identity.until : undefined) ?? Number.POSITIVE_INFINITY
    const lifeMs = Math.min(Math.max(this.#options.tokenLifeMs, TOKEN_LIFE_MS_MIN), untilMs - issuedAtMs)
    const issuedAtSec = Math.floor(issuedAtMs / 1_000)
    const { principal } = identity
    const { kid, key } = keys.signer
    const token = await new SignJWT({ access: grants, ...claimsOf(principal) })
      .setProtectedHeader({ alg: SIGNING_ALGORITHM, typ: 'JWT', kid })
      .setIssuer(service)
      .setAudience(service)
      .setSubject(principal.kind === 'anonymous' ? '' : principal.name)
      .setIssuedAt(issuedAtSec)
      .setNotBefore(issuedAtSec)
      .setExpirationTime(issuedAtSec + Math.floor(lifeMs / 1_000))
      .setJti(randomUUID())
      .sign(key)
    return { token, grants, expiresInSec: Math.floor(lifeMs / 1_000), issuedAtMs: issuedAtSec * 1_000 }
  }

  async #granted(identity: Identity, scope: ParsedScope): Promise<Grant | undefined> {
    if (scope.type === 'registry') return CATALOG_GRANT
    if (!isRepositoryName(scope.name)) return undefined
    const rights = await this.#options.directory.rightsIn(identity, scope.name)
    const actions = scope.actions.filter((action) => rights.has(action))
    return actions.length > 0 ? { ...scope, actions } : undefined
  }

  /** A token that stands for a password from now on; undefined for who has none. */
  async createRefresh(identity: Identity, clientId: string): Promise<string | undefined> {
    const { db, refreshLifeMs, now } = this.#options
    const { principal } = identity
    // It would outlive what it was asked with.
    if (identity.kind === 'robot' && identity.until !== undefined) return undefined
    const text = principalText(principal)
    if (text === undefined || clientId === '' || clientId.length > CLIENT_ID_CHARS_MAX) return undefined
    const secret = newSecret('refresh')
    const at = now()
    await db.transaction((tx) =>
      insertRefreshToken(tx, {
        hash: secret.hash,
        principal: text,
        clientId,
        expiresAt: at + refreshLifeMs,
        now: at,
      }),
    )
    return secret.text
  }

  /** Who a refresh token stands for. @throws OciError CREDENTIALS_INVALID */
  async useRefresh(token: string): Promise<Identity> {
    const { db, directory, refreshLifeMs, now } = this.#options
    const at = now()
    const hash = hashSecret(token)
    const found = isSecret('refresh', token) ? await findRefreshToken(db, hash) : undefined
    const principal = found && found.expiresAt > at ? principalFrom(found.principal) : undefined
    const identity = principal && (await directory.identityOf(principal))
    if (!found || !identity) throw new OciError('CREDENTIALS_INVALID')
    const until = at + refreshLifeMs
    if (until - found.expiresAt > EXTEND_AFTER_MS)
      await db.transaction((tx) => extendRefreshToken(tx, hash, until), { durable: false, locks: NO_LOCKS })
    return identity
  }
}

function claimsOf(principal: Principal): Readonly<Record<string, unknown>> {
  if (principal.kind === 'user' && principal.key !== undefined) return { kind: 'user', key: principal.key }
  return { kind: principal.kind }
}

/** Kind and name must agree: a robot cannot be taken for a user, whatever it is called. */
function principalOf(name: string, claims: Readonly<Record<string, unknown>>): Principal | undefined {
  const { kind, key } = claims
  if (kind === 'anonymous') return name === '' ? ANONYMOUS : undefined
  if (kind === 'robot') return isRobotName(name) ? { kind, name } : undefined
  if (kind !== 'user' || !isUserName(name)) return undefined
  if (key === undefined) return { kind, name }
  return typeof key === 'number' && Number.isSafeInteger(key) ? { kind, name, key } : undefined
}

function principalText(principal: Principal): string | undefined {
  if (principal.kind === 'anonymous') return undefined
  return principal.kind === 'user' && principal.key !== undefined
    ? `${principal.name}#${principal.key}`
    : principal.name
}

function principalFrom(text: string): Principal {
  if (isRobotName(text)) return { kind: 'robot', name: text }
  const [name = '', key] = text.split('#')
  return key === undefined ? { kind: 'user', name } : { kind: 'user', name, key: Number(key) }
}
