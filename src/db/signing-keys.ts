// The keys that tokens are signed with.
import type { Executor, Transaction } from '#db/db.ts'

export interface SigningKeyRecord {
  readonly kid: string
  readonly algorithm: string
  /** JSON Web Keys, as JSON. */
  readonly privateJwk: string
  readonly publicJwk: string
  readonly createdAt: number
  /** From then on nothing new is signed with it. */
  readonly retiredAt: number | null
}

/** The newest first. */
export function signingKeys(db: Executor): Promise<SigningKeyRecord[]> {
  return db.kysely
    .selectFrom('signing_keys')
    .select([
      'kid',
      'algorithm',
      'private_jwk as privateJwk',
      'public_jwk as publicJwk',
      'created_at as createdAt',
      'retired_at as retiredAt',
    ])
    .orderBy('created_at', 'desc')
    .execute()
}

export async function insertSigningKey(
  tx: Transaction,
  key: Omit<SigningKeyRecord, 'retiredAt'>,
): Promise<void> {
  await tx.kysely
    .insertInto('signing_keys')
    .values({
      kid: key.kid,
      algorithm: key.algorithm,
      private_jwk: key.privateJwk,
      public_jwk: key.publicJwk,
      created_at: key.createdAt,
      retired_at: null,
    })
    .execute()
}

export async function retireSigningKey(tx: Transaction, kid: string, at: number): Promise<void> {
  await tx.kysely.updateTable('signing_keys').set({ retired_at: at }).where('kid', '=', kid).execute()
}

export async function deleteSigningKey(tx: Transaction, kid: string): Promise<void> {
  await tx.kysely.deleteFrom('signing_keys').where('kid', '=', kid).execute()
}
