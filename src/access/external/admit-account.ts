// Lets an account of a provider in: finds or makes its user, and makes groups and role what the provider says now.
import {
  type ExternalAccount,
  type GroupMapping,
  groupsHere,
  mayComeIn,
  roleFrom,
} from '#access/external/external-account.ts'
import { nameCandidates } from '#access/external/user-name.ts'
import type { Db, Transaction } from '#db/db.ts'
import {
  confirmExternalIdentity,
  type ExternalIdentityRecord,
  endExternalIdentity,
  findExternalIdentity,
  groupIdsOf,
  insertExternalIdentity,
  replaceExternalGroups,
} from '#db/external-identities.ts'
import { insertGroup } from '#db/groups.ts'
import { findUser, insertUser, setExternalRole, updateUser } from '#db/users.ts'

export interface AdmitOptions {
  readonly mapping: GroupMapping
  /** Makes a user for an account that is new; otherwise an admin must have linked it. */
  readonly provision: boolean
  /** What to ask the provider with later; undefined leaves what there is. */
  readonly sealedGrant?: string | null
  readonly now: number
}

export type Admitted =
  | { readonly kind: 'in'; readonly user: string; readonly isNew: boolean }
  /** not-allowed: in no group that is let in. unlinked: nobody here, and none is made. disabled: by an admin of ours. */
  | { readonly kind: 'out'; readonly why: 'not-allowed' | 'unlinked' | 'disabled' }

/** Who the account is here is told by issuer and subject alone: names and addresses may be another's tomorrow. */
export function admitAccount(db: Db, account: ExternalAccount, options: AdmitOptions): Promise<Admitted> {
  return db.transaction(async (tx) => {
    const known = await findExternalIdentity(tx, account.issuer, account.subject)
    if (!mayComeIn(account, options.mapping)) {
      if (known) await shutOut(tx, known, options.now)
      return { kind: 'out', why: 'not-allowed' }
    }
    if (!known && !options.provision) return { kind: 'out', why: 'unlinked' }
    const identity = known ?? (await provision(tx, account, options.now))
    const user = await findUser(tx, identity.userName)
    if (!user || user.disabledAt !== null) return { kind: 'out', why: 'disabled' }
    const { sealedGrant, now } = options
    await confirmExternalIdentity(tx, identity.id, { sealedGrant, now })
    await takeGroups(tx, identity, account, options)
    const role = roleFrom(account, options.mapping)
    if (role !== user.externalRole) await setExternalRole(tx, user.id, role)
    const { email, displayName } = account
    // What the provider does not know it does not take away.
    if ((email ?? user.email) !== user.email || (displayName ?? user.displayName) !== user.displayName)
      await updateUser(
        tx,
        user.name,
        { ...(email !== null && { email }), ...(displayName !== null && { displayName }) },
        { now },
      )
    return { kind: 'in', user: user.name, isNew: known === undefined }
  })
}

/** The provider knows the account no more, or does not let it in: what it gave goes. */
export async function shutOut(tx: Transaction, identity: ExternalIdentityRecord, now: number): Promise<void> {
  await endExternalIdentity(tx, identity.id, now)
  await replaceExternalGroups(tx, identity, [])
  await setExternalRole(tx, identity.userId, null)
}

async function provision(
  tx: Transaction,
  { issuer, subject, name: wish, email, displayName }: ExternalAccount,
  now: number,
): Promise<ExternalIdentityRecord> {
  for (const name of nameCandidates(wish, issuer, subject)) {
    if (!(await insertUser(tx, { name, email, displayName, now }))) continue
    const user = await findUser(tx, name)
    if (!user) break
    await insertExternalIdentity(tx, { userId: user.id, issuer, subject, now })
    const identity = await findExternalIdentity(tx, issuer, subject)
    if (identity) return identity
    break
  }
  throw new Error(`no name could be found for an account of ${issuer}`)
}

async function takeGroups(
  tx: Transaction,
  identity: ExternalIdentityRecord,
  account: ExternalAccount,
  { mapping, now }: AdmitOptions,
): Promise<void> {
  const { mapped, found } = groupsHere(account, mapping)
  for (const name of mapped) await insertGroup(tx, name, now)
  await replaceExternalGroups(tx, identity, await groupIdsOf(tx, [...mapped, ...found]))
}
