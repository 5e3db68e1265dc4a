// Refresh tokens: what a client keeps instead of a password. Only their hashes are here.
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface RefreshTokenRecord {
  readonly principal: string
  readonly clientId: string
  readonly expiresAt: number
}

const byHash = hot<{ hash: string }>()((db, p) =>
  db
    .selectFrom('refresh_tokens')
    .select(['principal', 'client_id as clientId', 'expires_at as expiresAt'])
    .where('hash', '=', p.hash),
)

export function findRefreshToken(db: Executor, hash: string): Promise<RefreshTokenRecord | undefined> {
  return db.first(byHash, { hash })
}

export async function insertRefreshToken(
  tx: Transaction,
  token: { hash: string; principal: string; clientId: string; expiresAt: number; now: number },
): Promise<void> {
  await tx.kysely
    .insertInto('refresh_tokens')
    .values({
      hash: token.hash,
      principal: token.principal,
      client_id: token.clientId,
      created_at: token.now,
      expires_at: token.expiresAt,
    })
    .execute()
}

export async function extendRefreshToken(tx: Transaction, hash: string, expiresAt: number): Promise<void> {
  await tx.kysely
    .updateTable('refresh_tokens')
    .set({ expires_at: expiresAt })
    .where('hash', '=', hash)
    .execute()
}

/** All of a user or robot: when the account is disabled or deleted, or its password changed. */
export async function deleteRefreshTokens(tx: Transaction, name: string): Promise<void> {
  await tx.kysely
    .deleteFrom('refresh_tokens')
    .where((where) =>
      where.or([
        where('principal', '=', name),
        // `$` follows `#`: the range holds what was asked with a key of his, and no other name.
        where.and([where('principal', '>', `${name}#`), where('principal', '<', `${name}$`)]),
      ]),
    )
    .execute()
}

export async function pruneRefreshTokens(tx: Transaction, now: number): Promise<void> {
  await tx.kysely.deleteFrom('refresh_tokens').where('expires_at', '<', now).execute()
}
