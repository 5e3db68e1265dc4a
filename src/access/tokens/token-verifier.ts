// Bearer tokens: JSON Web Tokens of the registry's token protocol, believed only when every part of them holds.
import {
  LEEWAY_MS,
  readToken,
  TOKEN_CHARS_MAX,
  TokenRefused,
  verifyToken,
} from '#access/tokens/signed-claims.ts'
import type { TokenKeys } from '#access/tokens/token-keys.ts'
import { ANONYMOUS, type Principal } from '#identity/principal.ts'
import { CATALOG_GRANT, type Grant, knownActions } from '#identity/scope.ts'
import { Lru } from '#lib/lru.ts'

export const SUBJECT_CHARS_MAX = 255
/** Characters of all remembered tokens. A check costs more than the request that it is for. */
export const REMEMBERED_CHARS_MAX = 4 * 1024 * 1024
/** What an entry costs beside its text. */
const REMEMBERED_OVERHEAD = 512

export interface VerifiedToken {
  readonly principal: Principal
  readonly grants: readonly Grant[]
  readonly issuedAtMs: number
  /** The leeway comes on top. */
  readonly expiresAtMs: number
}

export interface TokenVerifierOptions {
  readonly keys: TokenKeys
  readonly issuer: string
  /** Our own service name. */
  readonly audience: string
  /** Some of TOKEN_ALGORITHMS. */
  readonly algorithms: readonly string[]
  readonly now: () => number
  /** How far the clock of the issuer may be apart; LEEWAY_MS when left out. Milliseconds. */
  readonly leewayMs?: number
  /** Whom the subject means; undefined when nobody. An issuer of users alone, when left out. */
  readonly principalOf?: (subject: string, claims: Readonly<Record<string, unknown>>) => Principal | undefined
}

export class TokenVerifier {
  readonly #options: TokenVerifierOptions
  readonly #remembered = new Lru<string, VerifiedToken>({
    weightMax: REMEMBERED_CHARS_MAX,
    entryWeightMax: TOKEN_CHARS_MAX + REMEMBERED_OVERHEAD,
  })

  constructor(options: TokenVerifierOptions) {
    this.#options = options
  }

  /** Tokens that are remembered. */
  get remembered(): number {
    return this.#remembered.size
  }

  /** @throws TokenRefused */
  async verify(token: string): Promise<VerifiedToken> {
    if (token.length > TOKEN_CHARS_MAX) throw new TokenRefused(`longer than ${TOKEN_CHARS_MAX} characters`)
    const known = this.#remembered.get(token)
    if (known) {
      if (this.#options.now() < known.expiresAtMs + (this.#options.leewayMs ?? LEEWAY_MS)) return known
      this.#remembered.delete(token)
      throw new TokenRefused('expired')
    }
    const verified = await this.#check(token)
    this.#remembered.set(token, verified, token.length + REMEMBERED_OVERHEAD)
    return verified
  }

  async #check(text: string): Promise<VerifiedToken> {
    const { keys, issuer, audience, algorithms, now, leewayMs = LEEWAY_MS } = this.#options
    const token = readToken(text, algorithms)
    const nowMs = now()
    const key = keys.find(token.hint, nowMs) ?? (await keys.findAnew?.(token.hint, nowMs))
    const verified = await verifyToken(token, key, { issuer, audience, nowMs, leewayMs })
    const { claims, issuedAtMs, expiresAtMs } = verified
    return {
      principal: this.#principal(claims),
      grants: parseAccess(claims['access']),
      issuedAtMs,
      expiresAtMs,
    }
  }

  #principal(claims: Readonly<Record<string, unknown>>): Principal {
    const { sub = '' } = claims
    if (typeof sub !== 'string' || sub.length > SUBJECT_CHARS_MAX)
      throw new TokenRefused('subject is malformed')
    const principal = (this.#options.principalOf ?? userOf)(sub, claims)
    if (!principal) throw new TokenRefused('subject is nobody')
    return principal
  }
}

function userOf(subject: string): Principal {
  return subject === '' ? ANONYMOUS : { kind: 'user', name: subject }
}

function parseAccess(access: unknown): Grant[] {
  if (access === undefined || access === null) return []
  if (!Array.isArray(access)) throw new TokenRefused('access is no list')
  return access.flatMap((entry: unknown): Grant[] => {
    if (typeof entry !== 'object' || entry === null) throw new TokenRefused('access is malformed')
    const { type, name, actions } = entry as Readonly<Record<string, unknown>>
    if (typeof type !== 'string' || typeof name !== 'string' || !isTexts(actions))
      throw new TokenRefused('access is malformed')
    if (type === 'registry') return name === 'catalog' && actions.includes('*') ? [CATALOG_GRANT] : []
    return type === 'repository' ? [{ type, name, actions: knownActions(actions) }] : []
  })
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}
