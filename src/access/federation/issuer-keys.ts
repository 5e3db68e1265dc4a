// The keys of an issuer: from a file, or from where its own metadata says, kept for a while and fetched again when a token
// names one that is not there.
// https://openid.net/specs/openid-connect-discovery-1_0.html
import { parseJwks, readSmall } from '#access/tokens/token-key-files.ts'
import { type KeyHint, KeyRing, type TrustedKey } from '#access/tokens/token-keys.ts'
import type { Outbound } from '#lib/outbound/outbound.ts'

const DOCUMENT_BYTES_MAX = 256 * 1024
const REQUEST_MS = 10_000
const REDIRECTS_MAX = 2
/** After that the keys are fetched anew. */
export const FRESH_MS = 3_600_000
/** While the issuer is silent, the keys that it had count for so long. */
export const STALE_MS = 24 * 3_600_000
/** Whoever invents names of keys makes us ask the issuer no more often than that. */
export const ASK_AGAIN_MS = 30_000

export interface IssuerKeys {
  /** Undefined when the issuer has no such key. @throws Error when the issuer cannot be reached, or is not to be believed */
  find(hint: KeyHint, nowMs: number): Promise<TrustedKey | undefined>
}

/** @throws Error that names the file when it cannot be used */
export async function keysFromFile(file: string): Promise<IssuerKeys> {
  const keys = parseJwks(await readSmall(file), file)
  if (keys.length === 0) throw new Error(`${file} holds no public key that could verify a token`)
  const ring = new KeyRing(keys)
  return { find: async (hint, nowMs) => ring.find(hint, nowMs) }
}

interface Fetched {
  readonly ring: KeyRing
  readonly at: number
}

export class FetchedKeys implements IssuerKeys {
  readonly #issuer: string
  readonly #outbound: () => Promise<Outbound>
  #fetched: Fetched | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #failure: unknown
  #asking: Promise<void> | undefined

  constructor(issuer: string, outbound: () => Promise<Outbound>) {
    this.#issuer = issuer
    this.#outbound = outbound
  }

  async find(hint: KeyHint, nowMs: number): Promise<TrustedKey | undefined> {
    const known = this.#fetched
    const found = known?.ring.find(hint, nowMs)
    if (found && known && nowMs - known.at < FRESH_MS) return found
    await this.#ask(nowMs)
    const current = this.#fetched
    if (!current || nowMs - current.at > STALE_MS)
      throw new Error(`the keys of ${this.#issuer} are not there`, { cause: this.#failure })
    return current.ring.find(hint, nowMs)
  }

  /** One question at a time, and not again too soon; whoever comes meanwhile waits for it. */
  async #ask(nowMs: number): Promise<void> {
    if (!this.#asking) {
      if (nowMs - this.#askedAt < ASK_AGAIN_MS) return
      this.#askedAt = nowMs
      this.#asking = this.#fetch()
        .then(
          (ring) => {
            this.#fetched = { ring, at: nowMs }
            this.#failure = undefined
          },
          (error: unknown) => {
            this.#failure = error
          },
        )
        .finally(() => {
          this.#asking = undefined
        })
    }
    await this.#asking
  }

  async #fetch(): Promise<KeyRing> {
    const metadata = await this.#json(`${this.#issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    const { issuer, jwks_uri: uri } = JSON.parse(metadata) as { issuer?: unknown; jwks_uri?: unknown }
    // Section 4.3: otherwise one issuer could speak for another.
    if (issuer !== this.#issuer) throw new Error(`it calls itself ${String(issuer).slice(0, 200)}`)
    if (typeof uri !== 'string') throw new Error('it names no jwks_uri')
    const keys = parseJwks(await this.#json(uri), 'what its jwks_uri leads to')
    if (keys.length === 0) throw new Error('it has no public key that could verify a token')
    return new KeyRing(keys)
  }

  async #json(url: string): Promise<string> {
    const outbound = await this.#outbound()
    const { status, body } = await outbound.send({
      url,
      headers: { accept: 'application/json' },
      plain: 'listed',
      bytesMax: DOCUMENT_BYTES_MAX,
      timeoutMs: REQUEST_MS,
      redirectsMax: REDIRECTS_MAX,
    })
    if (status !== 200) throw new Error(`${url} answers ${status}`)
    return body.toString('utf8')
  }
}
