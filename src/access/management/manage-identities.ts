// Accounts of providers that speak for a user: shown, linked by an admin, taken away.
import { checkUpdated, type Management, timeText, unknown } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import {
  deleteExternalIdentity,
  externalIdentitiesOf,
  insertExternalIdentity,
} from '#db/external-identities.ts'
import { findUser } from '#db/users.ts'

export interface IdentityView {
  readonly id: number
  readonly issuer: string
  readonly subject: string
  readonly createdAt: string | null
  /** When the provider last said that it holds. */
  readonly confirmedAt: string | null
  readonly ended: boolean
}

export async function listIdentities({ db }: Management, user: string): Promise<IdentityView[]> {
  const found = await findUser(db, user)
  if (!found) throw unknown(`the user ${user}`)
  const identities = await externalIdentitiesOf(db, found.id)
  return identities.map(({ id, issuer, subject, createdAt, confirmedAt, endedAt }) => ({
    id,
    issuer,
    subject,
    createdAt: timeText(createdAt),
    confirmedAt: timeText(confirmedAt),
    ended: endedAt !== null,
  }))
}

/** From then on whoever logs in with that account is the user. */
export async function linkIdentity(
  management: Management,
  user: string,
  { provider, subject }: { readonly provider: string; readonly subject: string },
): Promise<IdentityView> {
  const { db, now, directory } = management
  const issuer = directory.issuerOf(provider)
  if (issuer === undefined) throw new Refusal('invalid', `there is no provider ${provider}`)
  const isLinked = await db.transaction(async (tx) => {
    const found = await findUser(tx, user)
    if (!found) throw unknown(`the user ${user}`)
    return insertExternalIdentity(tx, { userId: found.id, issuer, subject, now: now() })
  })
  if (!isLinked) throw new Refusal('taken', 'this account speaks for somebody already')
  const made = (await listIdentities(management, user)).find(
    (view) => view.issuer === issuer && view.subject === subject,
  )
  if (!made) throw unknown(`the user ${user}`)
  return made
}

export async function unlinkIdentity({ db }: Management, user: string, identity: string): Promise<void> {
  const id = /^\d{1,15}$/.test(identity) ? Number(identity) : -1
  await db.transaction(async (tx) => {
    const found = await findUser(tx, user)
    const isGone = found !== undefined && (await deleteExternalIdentity(tx, found.id, id))
    checkUpdated(isGone, `the identity ${identity}`, false)
  })
}
