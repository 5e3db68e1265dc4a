// The keys whose signatures on tokens count, by every name that a token may call them.
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { CertificateBundle } from '#access/tokens/certificate-chain.ts'

export interface TrustedKey {
  readonly key: KeyObject
  /** The only algorithm that it is for, where its set says so (RFC 7517 section 4.4). */
  readonly algorithm?: string | undefined
}

/** What a token's header says about its key. */
export interface KeyHint {
  readonly kid?: unknown
  readonly jwk?: unknown
  readonly x5c?: unknown
}

export interface TokenKeys {
  /** The trusted key that the header speaks of. Never a key out of the header itself, but for a chain that leads to ours. */
  find(hint: KeyHint, nowMs: number): TrustedKey | undefined
  /** Asked when find knows none, where keys may come from elsewhere meanwhile. */
  findAnew?(hint: KeyHint, nowMs: number): Promise<TrustedKey | undefined>
}

/** A key as it stands in a JWKS. */
export interface NamedKey extends TrustedKey {
  readonly kid?: string | undefined
}

/** Keys of a JWKS, and certificates: their own keys count, and those of chains that lead to them. */
export class KeyRing implements TokenKeys {
  readonly #byName = new Map<string, TrustedKey>()
  readonly #bundle: CertificateBundle

  constructor(keys: readonly NamedKey[], bundle = new CertificateBundle([])) {
    this.#bundle = bundle
    for (const { publicKey: key } of bundle.certificates)
      this.#add({ key }, [libtrustId(key), thumbprint(key)])
    for (const { key, algorithm, kid } of keys)
      this.#add({ key, algorithm }, [thumbprint(key), ...(kid === undefined ? [] : [kid])])
  }

  find({ kid, jwk, x5c }: KeyHint, nowMs: number): TrustedKey | undefined {
    if (x5c !== undefined) return this.#ofChain(x5c, nowMs)
    if (jwk !== undefined) {
      if (typeof jwk !== 'object' || jwk === null) return undefined
      if ('x5c' in jwk) return this.#ofChain(jwk.x5c, nowMs)
      // Our copy of the key, found by what the token's really is and not by what it calls itself (CVE-2025-24976).
      const key = publicKeyOf(jwk)
      return key && this.#byName.get(thumbprint(key))
    }
    return typeof kid === 'string' ? this.#byName.get(kid) : undefined
  }

  #ofChain(x5c: unknown, nowMs: number): TrustedKey | undefined {
    const key = this.#bundle.leafKey(x5c, nowMs)
    return key && { key }
  }

  #add(key: TrustedKey, names: readonly string[]): void {
    for (const name of names) this.#byName.set(name, key)
  }
}

/** Undefined for what is no public key that can sign: a shared secret, a curve for encryption alone, something malformed. */
export function publicKeyOf(jwk: object): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
    return ['rsa', 'ec', 'ed25519'].includes(key.asymmetricKeyType ?? '') ? key : undefined
  } catch {
    return undefined
  }
}

/** RFC 7638: the required members in the order of their names. */
export function thumbprint(key: KeyObject): string {
  const { crv, e, kty, n, x, y } = key.export({ format: 'jwk' })
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const LIBTRUST_BYTES = 30

/** The key id of registry:2's tokens: 240 bits of the SHA-256 of the public key's DER, in base32, by fours. */
export function libtrustId(key: KeyObject): string {
  const der = key.export({ format: 'der', type: 'spki' })
  const hash = createHash('sha256').update(der).digest().subarray(0, LIBTRUST_BYTES)
  let bits = BigInt(`0x${hash.toString('hex')}`)
  let text = ''
  for (let left = (LIBTRUST_BYTES * 8) / 5; left > 0; left--) {
    text = BASE32.charAt(Number(bits & 31n)) + text
    bits >>= 5n
  }
  return text.replaceAll(/.{4}(?=.)/g, '$&:')
}
