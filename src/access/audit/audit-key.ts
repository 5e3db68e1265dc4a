// The key that checkpoints of the audit log are signed with: made at the first start, kept in the database.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { checkpointText } from '#access/audit/chain.ts'
import { thumbprint } from '#access/tokens/token-keys.ts'
import { type AuditCheckpointRecord, auditKeys, insertAuditKey } from '#db/audit.ts'
import type { Db } from '#db/db.ts'

export type UnsignedCheckpoint = Omit<AuditCheckpointRecord, 'kid' | 'signature'>

export class AuditKey {
  readonly #kid: string
  readonly #key: KeyObject

  private constructor(kid: string, key: KeyObject) {
    this.#kid = kid
    this.#key = key
  }

  /** Two processes that start together may make one each: both are kept, and both verify. */
  static async open(db: Db, now: () => number): Promise<AuditKey> {
    const [known] = await auditKeys(db)
    if (known) {
      const jwk = JSON.parse(known.privateJwk) as JsonWebKey
      return new AuditKey(known.kid, createPrivateKey({ key: jwk, format: 'jwk' }))
    }
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const kid = thumbprint(publicKey)
    await db.transaction((tx) =>
      insertAuditKey(tx, {
        kid,
        privateJwk: JSON.stringify(privateKey.export({ format: 'jwk' })),
        publicJwk: JSON.stringify(publicKey.export({ format: 'jwk' })),
        createdAt: now(),
      }),
    )
    return new AuditKey(kid, privateKey)
  }

  sign(checkpoint: UnsignedCheckpoint): AuditCheckpointRecord {
    const key = { key: this.#key, dsaEncoding: 'ieee-p1363' } as const
    const signature = sign('sha256', checkpointText(checkpoint), key).toString('base64url')
    return { ...checkpoint, kid: this.#kid, signature }
  }
}

/** Public halves by their ids. */
export type AuditPublicKeys = ReadonlyMap<string, KeyObject>

export function publicKeysOf(
  keys: readonly { readonly kid: string; readonly jwk: JsonWebKey }[],
): AuditPublicKeys {
  return new Map(keys.map(({ kid, jwk }) => [kid, createPublicKey({ key: jwk, format: 'jwk' })]))
}

export function isSignedBy(keys: AuditPublicKeys, checkpoint: AuditCheckpointRecord): boolean {
  const key = keys.get(checkpoint.kid)
  if (!key) return false
  const signature = Buffer.from(checkpoint.signature, 'base64url')
  return verify('sha256', checkpointText(checkpoint), { key, dsaEncoding: 'ieee-p1363' }, signature)
}
