// The secret behind what browsers and the command line carry for us during a login: made at the first start, the same for all
// processes.
import { randomBytes } from 'node:crypto'
import type { Db } from '#db/db.ts'
import { getSetting, setSetting } from '#db/settings.ts'

const KEY = 'login_seal_secret'

export async function sealSecret(db: Db): Promise<string> {
  const made = randomBytes(32).toString('base64url')
  return db.transaction(async (tx) => {
    const known = await getSetting(tx, KEY)
    if (known === undefined) await setSetting(tx, KEY, made)
    return known ?? made
  })
}
