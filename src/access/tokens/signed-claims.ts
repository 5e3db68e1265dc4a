// Claims in a signed JSON Web Token (RFC 7519, in compact form), believed only when every part of it holds. Which key counts is
// the caller's to say; a header can only hint at one of them.
import { jwtVerify } from 'jose'
import type { KeyHint, TrustedKey } from '#access/tokens/token-keys.ts'
import { jsonMembers } from '#lib/json-members.ts'

/** Longer tokens are refused before a character of them is read. */
export const TOKEN_CHARS_MAX = 16 * 1024
/** How far the clocks of issuer and registry may be apart where nobody says otherwise, as distribution has it. */
export const LEEWAY_MS = 60_000

/** Signatures of public keys. With a shared secret (HS256) a public key could be taken for one (CVE-2026-44351). */
export const TOKEN_ALGORITHMS = [
  ...['EdDSA', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'],
] as const

/** Why a token is not believed: for the log, not for whoever sent it. */
export class TokenRefused extends Error {
  override readonly name = 'TokenRefused'
}

type Members = Readonly<Record<string, unknown>>

/** What a token says, while nothing of it is believed yet. */
export interface UnverifiedToken {
  readonly text: string
  readonly algorithm: string
  readonly hint: KeyHint
  readonly claims: Members
}

export interface VerifiedClaims {
  readonly claims: Members
  readonly issuedAtMs: number
  /** The leeway comes on top. */
  readonly expiresAtMs: number
}

export interface Expectation {
  readonly issuer: string
  readonly audience: string
  readonly nowMs: number
  /** How far the clock of the issuer may be apart. */
  readonly leewayMs: number
}

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/

/** @param algorithms those that are accepted. @throws TokenRefused */
export function readToken(text: string, algorithms: readonly string[]): UnverifiedToken {
  if (text.length > TOKEN_CHARS_MAX) throw new TokenRefused(`longer than ${TOKEN_CHARS_MAX} characters`)
  const [, header, claims] = COMPACT.exec(text) ?? []
  if (header === undefined || claims === undefined) throw new TokenRefused('not a compact JWS')
  const { alg, crit, ...hint } = parseObject(header) as KeyHint & { alg?: unknown; crit?: unknown }
  // RFC 7515 section 4.1.11: who does not understand a critical extension must refuse. We know none.
  if (crit !== undefined) throw new TokenRefused('has critical extensions')
  if (typeof alg !== 'string' || !algorithms.includes(alg)) throw new TokenRefused('algorithm not accepted')
  return { text, algorithm: alg, hint, claims: parseObject(claims) }
}

/** @param found the trusted key that the hint speaks of. @throws TokenRefused */
export async function verifyToken(
  { text, algorithm }: UnverifiedToken,
  found: TrustedKey | undefined,
  { issuer, audience, nowMs, leewayMs }: Expectation,
): Promise<VerifiedClaims> {
  if (!found) throw new TokenRefused('signed by a key that is not trusted')
  if (found.algorithm !== undefined && found.algorithm !== algorithm)
    throw new TokenRefused('signed with an algorithm that its key is not for')
  const { payload } = await jwtVerify(text, found.key, {
    algorithms: [algorithm],
    issuer,
    audience,
    requiredClaims: ['exp', 'iat'],
    clockTolerance: leewayMs / 1_000,
    currentDate: new Date(nowMs),
  }).catch((error: unknown) => {
    throw new TokenRefused(error instanceof Error ? error.message : 'not valid', { cause: error })
  })
  const issuedAtMs = Number(payload.iat) * 1_000
  if (issuedAtMs > nowMs + leewayMs) throw new TokenRefused('issued in the future')
  return { claims: payload, issuedAtMs, expiresAtMs: Number(payload.exp) * 1_000 }
}

/** Two members with one name mean one thing to us and another to the next reader. */
function parseObject(encoded: string): Members {
  const text = Buffer.from(encoded, 'base64url').toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new TokenRefused('not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenRefused('not an object')
  const { repeated, tooDeep } = jsonMembers(text)
  if (repeated.length > 0 || tooDeep) throw new TokenRefused('has a member twice, or nests too deep')
  return value as Members
}
