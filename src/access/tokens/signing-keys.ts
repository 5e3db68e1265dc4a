// The keys of the built-in token server: made at the first start, kept in the database, renewed now and then.
import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import {
  type KeyHint,
  KeyRing,
  publicKeyOf,
  type TokenKeys,
  type TrustedKey,
  thumbprint,
} from '#access/tokens/token-keys.ts'
import type { Db } from '#db/db.ts'
import {
  deleteSigningKey,
  insertSigningKey,
  retireSigningKey,
  type SigningKeyRecord,
  signingKeys,
} from '#db/signing-keys.ts'

export const SIGNING_ALGORITHM = 'ES256'
const DAY_MS = 24 * 3_600_000
/** A key signs for so long. */
export const KEY_LIFE_MS = 90 * DAY_MS
/** After that it still verifies what it signed: longer than any access token lives. */
export const KEY_REST_MS = 2 * DAY_MS
const LOOK_MS_MIN = 1_000

export interface Signer {
  readonly kid: string
  readonly key: KeyObject
}

/** RFC 7517. */
export interface Jwks {
  readonly keys: readonly JsonWebKey[]
}

export class SigningKeys implements TokenKeys {
  readonly #db: Db
  readonly #now: () => number
  #signer: Signer | undefined
  #state = ''
  #lookedAt = 0
  #ring = new KeyRing([])
  #jwks: Jwks = { keys: [] }

  private constructor(db: Db, now: () => number) {
    this.#db = db
    this.#now = now
  }

  static async open(db: Db, now: () => number): Promise<SigningKeys> {
    const keys = new SigningKeys(db, now)
    await keys.renew()
    return keys
  }

  get signer(): Signer {
    if (!this.#signer) throw new Error('there is no key to sign with')
    return this.#signer
  }

  /** The public halves, for whoever wants to verify tokens without asking us. */
  get jwks(): Jwks {
    return this.#jwks
  }

  find(hint: KeyHint, nowMs: number): TrustedKey | undefined {
    return this.#ring.find(hint, nowMs)
  }

  /** Makes a new key when the newest is old, forgets those that nothing verifies any more, and reads all again. */
  async renew(): Promise<void> {
    const now = this.#now()
    await this.#db.transaction(async (tx) => {
      const known = await signingKeys(tx)
      for (const { kid, createdAt, retiredAt } of known) {
        if (retiredAt === null && createdAt + KEY_LIFE_MS <= now) await retireSigningKey(tx, kid, now)
        if (retiredAt !== null && retiredAt + KEY_REST_MS <= now) await deleteSigningKey(tx, kid)
      }
      const isFresh = known.some((key) => key.retiredAt === null && key.createdAt + KEY_LIFE_MS > now)
      if (!isFresh) await insertSigningKey(tx, newKey(now))
    })
    this.#read(await signingKeys(this.#db))
  }

  /** Reads all again where another process has made or dropped one. */
  async lookAgain(): Promise<void> {
    const records = await signingKeys(this.#db)
    if (stateOf(records) !== this.#state) this.#read(records)
  }

  /** A key that another process made a moment ago is not known here yet: looked for again, at most once in so often. */
  async findAnew(hint: KeyHint, nowMs: number): Promise<TrustedKey | undefined> {
    if (Math.abs(nowMs - this.#lookedAt) < LOOK_MS_MIN) return undefined
    this.#lookedAt = nowMs
    await this.lookAgain()
    return this.find(hint, nowMs)
  }

  #read(records: readonly SigningKeyRecord[]): void {
    this.#state = stateOf(records)
    const publics = records.map(({ kid, publicJwk }) => ({ kid, jwk: JSON.parse(publicJwk) as JsonWebKey }))
    this.#ring = new KeyRing(
      publics.flatMap(({ kid, jwk }) => {
        const key = publicKeyOf(jwk)
        return key ? [{ kid, key, algorithm: SIGNING_ALGORITHM }] : []
      }),
    )
    this.#jwks = {
      keys: publics.map(({ kid, jwk }) => ({ ...jwk, kid, alg: SIGNING_ALGORITHM, use: 'sig' })),
    }
    const current = records.find(({ retiredAt }) => retiredAt === null)
    if (current) {
      const jwk = JSON.parse(current.privateJwk) as JsonWebKey
      this.#signer = { kid: current.kid, key: createPrivateKey({ key: jwk, format: 'jwk' }) }
    }
  }
}

function stateOf(records: readonly SigningKeyRecord[]): string {
  return records.map(({ kid, retiredAt }) => `${kid} ${retiredAt}`).join()
}

function newKey(now: number): Omit<SigningKeyRecord, 'retiredAt'> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    kid: thumbprint(publicKey),
    algorithm: SIGNING_ALGORITHM,
    privateJwk: JSON.stringify(privateKey.export({ format: 'jwk' })),
    publicJwk: JSON.stringify(publicKey.export({ format: 'jwk' })),
    createdAt: now,
  }
}
