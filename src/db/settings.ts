// Small facts about this store by key.
import type { Executor, Transaction } from '#db/db.ts'

export async function getSetting(db: Executor, key: string): Promise<string | undefined> {
  const row = await db.kysely.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value
}

export async function setSetting(tx: Transaction, key: string, value: string): Promise<void> {
  await tx.kysely
    .insertInto('settings')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}
