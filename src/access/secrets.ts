// Secrets that we make: of robots, API keys, refresh tokens, sessions. They are random enough for a plain hash, and are kept as one.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** The beginning says what it is, to people and to scanners of leaked secrets. */
const PREFIXES = { robot: 'stw_r_', key: 'stw_k_', refresh: 'stw_t_', session: 'stw_s_' } as const

export type SecretKind = keyof typeof PREFIXES

export interface Secret {
  /** Shown once. */
  readonly text: string
  readonly hash: string
}

export function newSecret(kind: SecretKind): Secret {
  const text = `${PREFIXES[kind]}${randomBytes(32).toString('base64url')}`
  return { text, hash: hashSecret(text) }
}

export function isSecret(kind: SecretKind, text: string): boolean {
  return text.startsWith(PREFIXES[kind])
}

/** sha256, hex. */
export function hashSecret(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
