// Reads the files that `auth.token` names: a JWKS (RFC 7517) and a bundle of certificates in PEM.
import { X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { CertificateBundle } from '#access/tokens/certificate-chain.ts'
import { KeyRing, type NamedKey, publicKeyOf } from '#access/tokens/token-keys.ts'

export const KEY_FILE_BYTES_MAX = 1024 * 1024
export const KEYS_MAX = 1000

export interface KeyFiles {
  readonly jwks?: string | undefined
  readonly rootCertBundle?: string | undefined
}

/** @throws Error that names the file and what is wrong with it, also when the files hold no usable key */
export async function readKeyFiles({ jwks, rootCertBundle }: KeyFiles): Promise<KeyRing> {
  const keys = jwks === undefined ? [] : parseJwks(await readSmall(jwks), jwks)
  const certificates =
    rootCertBundle === undefined ? [] : parseBundle(await readSmall(rootCertBundle), rootCertBundle)
  if (keys.length + certificates.length === 0) {
    const files = [jwks, rootCertBundle].filter((file) => file !== undefined).join(' and ')
    throw new Error(`${files} hold no public key that could verify a token`)
  }
  return new KeyRing(keys, new CertificateBundle(certificates))
}

/** @throws Error that names the file when it cannot be read, or is too large */
export async function readSmall(file: string): Promise<string> {
  await using handle = await open(file)
  const buffer = Buffer.alloc(KEY_FILE_BYTES_MAX + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length)
    length += bytesRead
    if (length > KEY_FILE_BYTES_MAX) throw new Error(`${file} is larger than ${KEY_FILE_BYTES_MAX} bytes`)
    if (bytesRead === 0) return buffer.toString('utf8', 0, length)
  }
}

/** @param file where it is from, for the sentence. @throws Error that says what is wrong with it */
export function parseJwks(text: string, file: string): NamedKey[] {
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${file} is not JSON`, { cause })
  }
  if (typeof set !== 'object' || set === null || !('keys' in set) || !Array.isArray(set.keys))
    throw new Error(`${file} is no JWKS: an object with a list named keys`)
  if (set.keys.length > KEYS_MAX) throw new Error(`${file} holds more than ${KEYS_MAX} keys`)
  return set.keys.flatMap((jwk: unknown) => {
    const key = namedKey(jwk)
    return key ? [key] : []
  })
}

/** A set may hold keys for other ends: RFC 7517 section 5 has what cannot be used passed over. */
function namedKey(jwk: unknown): NamedKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kid, alg, use } = jwk as Readonly<Record<string, unknown>>
  if (use !== undefined && use !== 'sig') return undefined
  const key = publicKeyOf(jwk)
  if (!key) return undefined
  return {
    key,
    algorithm: typeof alg === 'string' ? alg : undefined,
    kid: typeof kid === 'string' ? kid : undefined,
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

function parseBundle(text: string, file: string): X509Certificate[] {
  const blocks = text.match(CERTIFICATE) ?? []
  if (blocks.length === 0) throw new Error(`${file} holds no certificate in PEM`)
  if (blocks.length > KEYS_MAX) throw new Error(`${file} holds more than ${KEYS_MAX} certificates`)
  return blocks.map((block, n) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new Error(`${file}: certificate ${n + 1} cannot be read`, { cause })
    }
  })
}
