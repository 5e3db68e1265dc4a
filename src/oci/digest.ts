// A digest is `algorithm:encoded`, parsed once at the door. Below the door nobody accepts a string for a Digest.
import { createHash, type Hash } from 'node:crypto'
import { OciError } from '#oci/errors.ts'

export type DigestAlgorithm = 'sha256' | 'sha512'

declare const digestBrand: unique symbol
/** A well-formed `sha256:<64 lower-case hex>` or `sha512:<128 lower-case hex>`. */
export type Digest = string & { readonly [digestBrand]: true }

const HEX_LENGTH: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 }
const SHA256 = /^sha256:[0-9a-f]{64}$/
const SHA512 = /^sha512:[0-9a-f]{128}$/

/** True for a digest in an algorithm that we can verify, in its canonical lower-case form. */
export function isDigest(text: string): text is Digest {
  return SHA256.test(text) || SHA512.test(text)
}

/**
 * Parses a digest. Source: image-spec descriptor.md, "Digests".
 * @throws OciError DIGEST_MALFORMED for anything that is not a canonical sha256 or sha512 digest
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new OciError('DIGEST_MALFORMED', { detail: { digest: text.slice(0, 200) } })
}

/** @throws OciError ALGORITHM_UNSUPPORTED */
export function parseAlgorithm(text: string): DigestAlgorithm {
  if (text === 'sha256' || text === 'sha512') return text
  throw new OciError('ALGORITHM_UNSUPPORTED', { detail: { algorithm: text.slice(0, 100) } })
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

/** The part behind the colon. */
export function encodedOf(digest: Digest): string {
  return digest.slice(7)
}

export function digestFrom(algorithm: DigestAlgorithm, hex: string): Digest {
  if (hex.length !== HEX_LENGTH[algorithm])
    throw new Error(`not a ${algorithm} value: ${hex.length} characters`)
  return `${algorithm}:${hex}` as Digest
}

export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return digestFrom(algorithm, createHash(algorithm).update(bytes).digest('hex'))
}

/** A running hash that ends in a Digest. `peek` tells the value so far without ending it. */
export class DigestHash {
  readonly algorithm: DigestAlgorithm
  #hash: Hash

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm
    this.#hash = createHash(algorithm)
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  peek(): Digest {
    return digestFrom(this.algorithm, this.#hash.copy().digest('hex'))
  }

  finish(): Digest {
    return digestFrom(this.algorithm, this.#hash.digest('hex'))
  }
}
