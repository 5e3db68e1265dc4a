// Ends all that somebody is logged in with: browsers and what clients keep instead of a password.
import type { Transaction } from '#db/db.ts'
import { deleteRefreshTokens } from '#db/refresh-tokens.ts'
import { deleteSessionsOf } from '#db/sessions.ts'

export async function endLogins(tx: Transaction, user: string): Promise<void> {
  await deleteRefreshTokens(tx, user)
  await deleteSessionsOf(tx, user)
}
