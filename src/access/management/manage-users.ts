// Users and groups: made, changed, disabled, deleted.
import { endLogins } from '#access/management/end-logins.ts'
import {
  checkUpdated,
  checkVersion,
  type Listed,
  listed,
  type Management,
  type Paging,
  timeText,
  unknown,
} from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import {
  BCRYPT_COST_MAX,
  checkPassword,
  hashPassword,
  isImportable,
  passwordFault,
} from '#access/passwords/passwords.ts'
import type { Transaction } from '#db/db.ts'
import {
  addToGroup,
  deleteGroup,
  findGroup,
  groupMemberPage,
  groupPage,
  insertGroup,
  removeFromGroup,
} from '#db/groups.ts'
import {
  countEnabledAdmins,
  deleteUser,
  findUser,
  insertUser,
  type UserRecord,
  updateUser,
  userPage,
} from '#db/users.ts'
import { isUserName, PLAIN_NAME_RULE } from '#identity/account-name.ts'
import type { SystemRole } from '#identity/role.ts'

/** A user as the API shows him: never with anything of his password. */
export interface UserView {
  readonly name: string
  readonly email: string | null
  readonly displayName: string | null
  readonly systemRole: SystemRole | null
  readonly disabled: boolean
  readonly createdAt: string | null
  readonly version: number
}

export interface UserInput {
  readonly email?: string | null | undefined
  readonly displayName?: string | null | undefined
  readonly systemRole?: SystemRole | null | undefined
}

function viewOf(user: UserRecord): UserView {
  const { name, email, displayName, systemRole, disabledAt, createdAt, version } = user
  return {
    name,
    email,
    displayName,
    systemRole,
    disabled: disabledAt !== null,
    createdAt: timeText(createdAt),
    version,
  }
}

interface NewPassword {
  readonly password?: string | undefined
  /** bcrypt's, of an htpasswd file; it is replaced by a better one at the first login. */
  readonly passwordHash?: string | undefined
}

async function newHash({ password, passwordHash }: NewPassword): Promise<string> {
  if (passwordHash === undefined) return hashOf(password ?? '')
  if (!(await isImportable(passwordHash))) {
    throw new Refusal(
      'invalid',
      `a passwordHash is one of bcrypt, of a cost of at most ${BCRYPT_COST_MAX}: htpasswd -B`,
    )
  }
  return passwordHash
}

async function hashOf(password: string): Promise<string> {
  const fault = passwordFault(password)
  if (fault !== undefined) throw new Refusal('invalid', `the password ${fault}`)
  return hashPassword(password)
}

export async function listUsers({ db }: Management, { after, limit }: Paging): Promise<Listed<UserView>> {
  return listed((await userPage(db, after, limit + 1)).map(viewOf), limit, ({ name }) => name)
}

export async function getUser({ db }: Management, name: string): Promise<UserView> {
  const user = await findUser(db, name)
  if (!user) throw unknown(`the user ${name}`)
  return viewOf(user)
}

export async function createUser(
  management: Management,
  { name, password, passwordHash: imported, ...input }: UserInput & NewPassword & { name: string },
): Promise<UserView> {
  if (!isUserName(name)) {
    throw new Refusal('invalid', `a user name ${PLAIN_NAME_RULE}`)
  }
  const passwordHash = await newHash({ password, passwordHash: imported })
  const user = { ...withoutUndefined(input), name, passwordHash, now: management.now() }
  if (!(await management.db.transaction((tx) => insertUser(tx, user))))
    throw new Refusal('taken', `there is a user ${name} already`)
  return getUser(management, name)
}

export async function changeUser(
  management: Management,
  name: string,
  { disabled, ...input }: UserInput & { disabled?: boolean | undefined },
  version: number | undefined,
): Promise<UserView> {
  const now = management.now()
  await management.db.transaction(async (tx) => {
    const changes = {
      ...withoutUndefined(input),
      ...(disabled !== undefined && { disabledAt: disabled ? now : null }),
    }
    const updated = await updateUser(tx, name, changes, { now, version })
    checkUpdated(updated, `the user ${name}`, (await findUser(tx, name)) !== undefined)
    await keepAnAdmin(tx)
    if (disabled === true) await endLogins(tx, name)
  })
  return getUser(management, name)
}

/** Ends what was logged in with the old one. */
export async function setPassword(
  management: Management,
  name: string,
  password: string,
  version?: number | undefined,
): Promise<void> {
  const passwordHash = await hashOf(password)
  await management.db.transaction(async (tx) => {
    const updated = await updateUser(tx, name, { passwordHash }, { now: management.now(), version })
    checkUpdated(updated, `the user ${name}`, (await findUser(tx, name)) !== undefined)
    await endLogins(tx, name)
  })
}

/** By the user himself, who must know the old one: a session that was left open is not enough. */
export async function changeOwnPassword(
  management: Management,
  name: string,
  { current, password }: { current: string; password: string },
): Promise<void> {
  const user = await findUser(management.db, name)
  if (!user?.passwordHash || !(await checkPassword(current, user.passwordHash)))
    throw new Refusal('forbidden', 'the current password is wrong')
  await setPassword(management, name, password)
}

export async function removeUser(
  { db, now }: Management,
  name: string,
  version: number | undefined,
): Promise<void> {
  await db.transaction(async (tx) => {
    const user = await findUser(tx, name)
    if (!user) throw unknown(`the user ${name}`)
    checkVersion(user, version, `the user ${name}`)
    await deleteUser(tx, name, now())
    await keepAnAdmin(tx)
  })
}

async function keepAnAdmin(tx: Transaction): Promise<void> {
  if ((await countEnabledAdmins(tx)) === 0)
    throw new Refusal('conflict', 'this is the last admin: make another one first')
}

export async function listGroups({ db }: Management, { after, limit }: Paging) {
  const rows = await groupPage(db, after, limit + 1)
  const views = rows.map(({ name, createdAt }) => ({ name, createdAt: timeText(createdAt) }))
  return listed(views, limit, ({ name }) => name)
}

export async function createGroup({ db, now }: Management, name: string): Promise<{ name: string }> {
  if (!isUserName(name)) {
    throw new Refusal('invalid', `the name of a group ${PLAIN_NAME_RULE}`)
  }
  if (!(await db.transaction((tx) => insertGroup(tx, name, now()))))
    throw new Refusal('taken', `there is a group ${name} already`)
  return { name }
}

export async function removeGroup({ db }: Management, name: string): Promise<void> {
  if (!(await db.transaction((tx) => deleteGroup(tx, name)))) throw unknown(`the group ${name}`)
}

export async function listGroupMembers({ db }: Management, group: string, { after, limit }: Paging) {
  const found = await findGroup(db, group)
  if (!found) throw unknown(`the group ${group}`)
  const names = await groupMemberPage(db, found.id, after, limit + 1)
  return listed(
    names.map((name) => ({ name })),
    limit,
    ({ name }) => name,
  )
}

export async function changeGroupMember(
  { db }: Management,
  group: string,
  user: string,
  isMember: boolean,
): Promise<void> {
  await db.transaction(async (tx) => {
    const [foundGroup, foundUser] = [await findGroup(tx, group), await findUser(tx, user)]
    if (!foundGroup) throw unknown(`the group ${group}`)
    if (!foundUser) throw unknown(`the user ${user}`)
    if (isMember) await addToGroup(tx, foundGroup.id, foundUser.id)
    else if (!(await removeFromGroup(tx, foundGroup.id, foundUser.id)))
      throw unknown(`the member ${user} of the group ${group}`)
  })
}

function withoutUndefined<T extends object>(value: T) {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
