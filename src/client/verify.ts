// Checks size and digest while bytes stream. The last byte is held back until the digest is known to be right.
import { ClientError } from '#client/client-error.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, DigestHash } from '#oci/digest.ts'

declare const verifiedBrand: unique symbol
/**
 * A source that resolves only when everything it pushed has the size and the digest of its descriptor. What it feeds must
 * not become visible before it has resolved. Only `verified` makes one.
 */
export type VerifiedSource = ByteSource & { readonly [verifiedBrand]: true }

/**
 * Wraps a source. It hashes in the same pass, cuts a body that is too long, and passes the chunk that completes the blob
 * on only when the digest agrees, so that a receiver never holds a whole wrong blob.
 * @param from who sends the bytes, for the error
 * @throws ClientError corrupt
 */
export function verified(descriptor: Descriptor, source: ByteSource, from: string): VerifiedSource {
  const wrapped: ByteSource = async (sink) => {
    const check = new Verifier(descriptor, from)
    await source((chunk) => {
      check.take(chunk)
      return sink(chunk)
    })
    check.end()
  }
  return wrapped as VerifiedSource
}

/** The running check itself, for a source that breaks and goes on from where it broke. */
export class Verifier {
  readonly #descriptor: Descriptor
  readonly #from: string
  readonly #hash: DigestHash
  #bytes = 0
  #complete = false

  constructor(descriptor: Descriptor, from: string) {
    this.#descriptor = descriptor
    this.#from = from
    this.#hash = new DigestHash(algorithmOf(descriptor.digest))
  }

  /** Bytes taken so far: where to go on. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws ClientError corrupt, before the chunk may be passed on */
  take(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#bytes += chunk.byteLength
    if (this.#bytes > this.#descriptor.size)
      throw this.#wrong(`more than the ${this.#descriptor.size} bytes announced`)
    this.#hash.update(chunk)
    if (this.#bytes === this.#descriptor.size) this.#compare()
  }

  /** @throws ClientError corrupt */
  end(): void {
    if (this.#bytes < this.#descriptor.size) {
      throw this.#wrong(`only ${this.#bytes} of the ${this.#descriptor.size} bytes announced`)
    }
    if (!this.#complete) this.#compare()
  }

  #compare(): void {
    if (this.#complete) return
    this.#complete = true
    const actual = this.#hash.finish()
    if (actual !== this.#descriptor.digest) throw this.#wrong(`content with the digest ${actual}`)
  }

  #wrong(what: string): ClientError {
    const { digest } = this.#descriptor
    return new ClientError('corrupt', `${this.#from} sent ${what} for ${digest}`, { digest })
  }
}

/** Checks bytes that are all here. @throws ClientError corrupt */
export function verifyBytes(descriptor: Descriptor, bytes: Uint8Array, from: string): void {
  const check = new Verifier(descriptor, from)
  check.take(bytes)
  check.end()
}

/** A small blob as bytes, e.g. an image config. @throws ClientError limit, before anything is read */
export async function readBlob(
  source: VerifiedSource,
  descriptor: Descriptor,
  bytesMax: number,
): Promise<Buffer> {
  if (descriptor.size > bytesMax) {
    throw new ClientError('limit', `${descriptor.digest} is larger than ${bytesMax} bytes`, {
      digest: descriptor.digest,
    })
  }
  const buffer = Buffer.allocUnsafe(descriptor.size)
  let at = 0
  await source((chunk) => {
    buffer.set(chunk, at)
    at += chunk.byteLength
    return undefined
  })
  return buffer
}

/** Collects a source of unknown size into one buffer. @throws ClientError limit */
export async function collect(source: ByteSource, bytesMax: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  await source((chunk) => {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new ClientError('limit', `${what} is larger than ${bytesMax} bytes`)
    chunks.push(chunk)
    return undefined
  })
  return Buffer.concat(chunks, bytes)
}
