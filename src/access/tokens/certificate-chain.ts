// Certificate chains of token headers (`x5c`, RFC 7515 section 4.1.6), checked against a bundle of trusted certificates.
import { type KeyObject, X509Certificate } from 'node:crypto'

/** Longer chains are refused: each certificate costs a signature to check. */
export const CHAIN_CERTIFICATES_MAX = 8

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

export class CertificateBundle {
  readonly #roots: readonly X509Certificate[]
  readonly #fingerprints: ReadonlySet<string>

  constructor(roots: readonly X509Certificate[]) {
    this.#roots = roots
    this.#fingerprints = new Set(roots.map((root) => root.fingerprint256))
  }

  get certificates(): readonly X509Certificate[] {
    return this.#roots
  }

  /**
   * The key of the first certificate when the chain leads to one of ours at that time, undefined otherwise.
   * @param x5c base64 of DER, each certificate followed by the one that certifies it
   */
  leafKey(x5c: unknown, nowMs: number): KeyObject | undefined {
    const chain = parseChain(x5c)
    // From the end, so that only keys which are trusted by then check a signature; a stranger's are never used.
    let trusted: X509Certificate | undefined
    for (const certificate of chain.toReversed()) {
      const issuers = trusted ? [trusted, ...this.#roots] : this.#roots
      const isOurs = this.#fingerprints.has(certificate.fingerprint256)
      const isTrusted = isOurs || issuers.some((issuer) => certifies(issuer, certificate, nowMs))
      trusted = isTrusted && isValidAt(certificate, nowMs) ? certificate : undefined
    }
    return trusted?.publicKey
  }
}

function parseChain(x5c: unknown): X509Certificate[] {
  if (!Array.isArray(x5c) || x5c.length > CHAIN_CERTIFICATES_MAX) return []
  try {
    return x5c.map((text: unknown) => {
      if (typeof text !== 'string' || !BASE64.test(text)) throw new Error('not base64')
      return new X509Certificate(Buffer.from(text, 'base64'))
    })
  } catch {
    return []
  }
}

/** A certificate that may sign tokens may not therefore sign certificates: that takes an authority. */
function certifies(issuer: X509Certificate, certificate: X509Certificate, nowMs: number): boolean {
  return (
    issuer.ca &&
    isValidAt(issuer, nowMs) &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey)
  )
}

function isValidAt({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean {
  return validFromDate.getTime() <= nowMs && nowMs <= validToDate.getTime()
}
