// API keys: secrets that speak for a user, for as much as they allow.
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface ApiKeyRecord {
  readonly id: number
  readonly name: string
  readonly userName: string
  /** JSON; null for all that the user may. */
  readonly permissions: string | null
  readonly expiresAt: number | null
  readonly createdAt: number
}

const COLUMNS = [
  'api_keys.id',
  'api_keys.name',
  'users.name as userName',
  'permissions',
  'expires_at as expiresAt',
  'api_keys.created_at as createdAt',
] as const

const bySecret = hot<{ secretHash: string }>()((db, p) =>
  db
    .selectFrom('api_keys')
    .innerJoin('users', 'users.id', 'api_keys.user_id')
    .select(COLUMNS)
    .where('secret_hash', '=', p.secretHash),
)

const byId = hot<{ id: number }>()((db, p) =>
  db
    .selectFrom('api_keys')
    .innerJoin('users', 'users.id', 'api_keys.user_id')
    .select(COLUMNS)
    .where('api_keys.id', '=', p.id),
)

export function findApiKeyBySecret(db: Executor, secretHash: string): Promise<ApiKeyRecord | undefined> {
  return db.first(bySecret, { secretHash })
}

export function findApiKey(db: Executor, id: number): Promise<ApiKeyRecord | undefined> {
  return db.first(byId, { id })
}

/** False when the user has a key of that name. */
export async function insertApiKey(
  tx: Transaction,
  key: {
    userId: number
    name: string
    secretHash: string
    permissions: string | null
    expiresAt: number | null
    now: number
  },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx.kysely
    .insertInto('api_keys')
    .values({
      user_id: key.userId,
      name: key.name,
      secret_hash: key.secretHash,
      permissions: key.permissions,
      expires_at: key.expiresAt,
      created_at: key.now,
    })
    .onConflict((conflict) => conflict.columns(['user_id', 'name']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

export async function deleteApiKey(tx: Transaction, userId: number, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx.kysely
    .deleteFrom('api_keys')
    .where('user_id', '=', userId)
    .where('name', '=', name)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Of a user, by name. */
export function apiKeysOf(db: Executor, userId: number): Promise<ApiKeyRecord[]> {
  return db.kysely
    .selectFrom('api_keys')
    .innerJoin('users', 'users.id', 'api_keys.user_id')
    .select(COLUMNS)
    .where('user_id', '=', userId)
    .orderBy('api_keys.name')
    .execute()
}
