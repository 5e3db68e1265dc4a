// Who may do what: every kind of caller against every kind of project.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findIdentity, type Identity, type RightsOptions, readableBy, rightsIn } from '#access/rights.ts'
import { apiKeysOf, insertApiKey } from '#db/api-keys.ts'
import type { Db } from '#db/db.ts'
import { addToGroup, findGroup, insertGroup, removeFromGroup } from '#db/groups.ts'
import { deleteProject, findProject, insertProject, setGroupRole, setUserRole } from '#db/projects.ts'
import { insertRobot, updateRobot } from '#db/robots.ts'
import { findUser, insertUser, updateUser } from '#db/users.ts'
import { ANONYMOUS } from '#identity/principal.ts'
import { mayRead } from '#identity/readable.ts'
import { ROLES, VISIBILITIES } from '#identity/role.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { openFacts } from '../../test/processes/test-database.ts'

const NOW = 1_700_000_000_000
const ALL = 'delete manage overwrite pull push'
const ADMINS = { projectCreation: 'admins', projectDepth: 1 } as const

let db: Db

async function user(name: string, systemRole: 'admin' | 'auditor' | null = null): Promise<number> {
  await db.transaction((tx) => insertUser(tx, { name, systemRole, now: NOW }))
  return (await findUser(db, name))?.id ?? 0
}

async function project(name: string, visibility: (typeof VISIBILITIES)[number]): Promise<number> {
  await db.transaction((tx) => insertProject(tx, { name, visibility, now: NOW }))
  return (await findProject(db, name))?.id ?? 0
}

async function robot(name: string, projectId: number | null, permissions: unknown): Promise<void> {
  await db.transaction((tx) =>
    insertRobot(tx, {
      name,
      projectId,
      secretHash: '',
      permissions: JSON.stringify(permissions),
      expiresAt: null,
      now: NOW,
    }),
  )
}

async function key(userId: number, name: string, permissions: unknown, expiresAt: number | null = null) {
  await db.transaction((tx) =>
    insertApiKey(tx, {
      userId,
      name,
      secretHash: `${userId} ${name}`,
      permissions: permissions === null ? null : JSON.stringify(permissions),
      expiresAt,
      now: NOW,
    }),
  )
  return (await apiKeysOf(db, userId)).find((found) => found.name === name)?.id ?? 0
}

async function identity(name: string | undefined, keyId?: number): Promise<Identity> {
  const principal =
    name === undefined
      ? ANONYMOUS
      : name.includes('+')
        ? ({ kind: 'robot', name } as const)
        : ({ kind: 'user', name, ...(keyId !== undefined && { key: keyId }) } as const)
  const found = await findIdentity(db, principal, NOW)
  assert.ok(found, `${name} is somebody`)
  return found
}

async function rights(who: Identity, repository: string, options: RightsOptions = ADMINS) {
  const found = await rightsIn(db, who, parseRepositoryName(repository), options)
  return [...found].sort().join(' ')
}

before(async () => {
  db = await openFacts()
  await user('root', 'admin')
  await user('auditor', 'auditor')
  await user('stranger')
  await db.transaction((tx) => insertGroup(tx, 'staff', NOW))
  const groupId = (await findGroup(db, 'staff'))?.id ?? 0
  const grouped = await user('grouped')
  await db.transaction((tx) => addToGroup(tx, groupId, grouped))
  for (const visibility of VISIBILITIES) {
    const projectId = await project(visibility, visibility)
    for (const role of ROLES) {
      const userId = (await findUser(db, role))?.id ?? (await user(role))
      await db.transaction((tx) => setUserRole(tx, { projectId, userId, role }))
    }
    await db.transaction((tx) => setGroupRole(tx, { projectId, groupId, role: 'developer' }))
    await robot(`${visibility}+ci`, projectId, [{ repository: '**', rights: ['pull', 'push'] }])
  }
  await robot('+backup', null, [{ repository: 'private/**', rights: ['pull'] }])
})
after(() => db.close())

describe('rights in a project', () => {
  const DEVELOPER = 'overwrite pull push'
  const matrix: [string | undefined, [string, string, string], string][] = [
    // caller, in a private, authenticated and public project, in one that does not exist
    [undefined, ['', '', 'pull'], ''],
    ['stranger', ['', 'pull', 'pull'], ''],
    ['guest', ['pull', 'pull', 'pull'], ''],
    ['developer', [DEVELOPER, DEVELOPER, DEVELOPER], ''],
    ['grouped', [DEVELOPER, DEVELOPER, DEVELOPER], ''],
    ['maintainer', [ALL, ALL, ALL], ''],
    ['owner', [ALL, ALL, ALL], ''],
    ['auditor', ['pull', 'pull', 'pull'], 'pull'],
    ['root', [ALL, ALL, ALL], ALL],
    ['private+ci', ['pull push', 'pull', 'pull'], ''],
    ['public+ci', ['', 'pull', 'pull push'], ''],
    ['+backup', ['pull', 'pull', 'pull'], ''],
  ]
  for (const [who, expected, elsewhere] of matrix) {
    test(`of ${who ?? 'an anonymous caller'}`, async () => {
      const caller = await identity(who)
      const found = await Promise.all(VISIBILITIES.map((name) => rights(caller, `${name}/app`)))
      assert.deepEqual(found, expected)
      assert.equal(await rights(caller, 'nowhere/app'), elsewhere)
    })

    test(`what ${who ?? 'an anonymous caller'} may pull is what lists show him and mounts may take`, async () => {
      const caller = await identity(who)
      const readable = await readableBy(db, caller, ADMINS)
      for (const name of VISIBILITIES) {
        const repository = parseRepositoryName(`${name}/app`)
        const may = (await rightsIn(db, caller, repository, ADMINS)).has('pull')
        assert.equal(mayRead(readable, repository), may, name)
      }
    })
  }

  test('names of one component belong to the default project', async () => {
    const stranger = await identity('stranger')
    assert.equal(await rights(stranger, 'app'), '')
    await project('library', 'authenticated')
    assert.equal(await rights(stranger, 'app'), 'pull')
    assert.equal(await rights(stranger, 'library/app'), 'pull')
  })

  test('who may make projects may push to one that is not there', async () => {
    const everyone = { projectCreation: 'everyone', projectDepth: 1 } as const
    assert.equal(await rights(await identity('stranger'), 'new/app', everyone), ALL)
    assert.equal(await rights(await identity('stranger'), 'private/app', everyone), '')
    assert.equal(await rights(await identity(undefined), 'new/app', everyone), '')
  })
})

describe('rights that end', () => {
  test('who leaves a group has lost its rights at once (CVE-2025-23208)', async () => {
    const userId = await user('leaver')
    const groupId = (await findGroup(db, 'staff'))?.id ?? 0
    await db.transaction((tx) => addToGroup(tx, groupId, userId))
    assert.equal(await rights(await identity('leaver'), 'private/app'), 'overwrite pull push')
    await db.transaction((tx) => removeFromGroup(tx, groupId, userId))
    assert.equal(await rights(await identity('leaver'), 'private/app'), '')
  })

  test('a disabled user, a disabled or expired robot and an expired key are nobody', async () => {
    const userId = await user('gone')
    const expired = await key(userId, 'expired', null, NOW)
    assert.equal(await findIdentity(db, { kind: 'user', name: 'gone', key: expired }, NOW), undefined)
    const good = await key(userId, 'good', null, NOW + 1)
    assert.ok(await findIdentity(db, { kind: 'user', name: 'gone', key: good }, NOW))
    await db.transaction((tx) => updateUser(tx, 'gone', { disabledAt: NOW }, { now: NOW }))
    for (const id of [undefined, good])
      assert.equal(
        await findIdentity(db, { kind: 'user', name: 'gone', ...(id !== undefined && { key: id }) }, NOW),
        undefined,
      )
    await robot('+ends', null, [])
    assert.ok(await findIdentity(db, { kind: 'robot', name: '+ends' }, NOW))
    for (const change of [{ expiresAt: NOW }, { expiresAt: null, disabledAt: NOW }]) {
      await db.transaction((tx) => updateRobot(tx, '+ends', change, { now: NOW }))
      assert.equal(await findIdentity(db, { kind: 'robot', name: '+ends' }, NOW), undefined)
    }
  })

  test('a robot of a project that was deleted is nobody in one that has its name now (Harbor #22900)', async () => {
    const before = await project('reborn', 'private')
    await robot('reborn+ci', before, [{ repository: '**', rights: ['pull'] }])
    const old = await identity('reborn+ci')
    await db.transaction((tx) => deleteProject(tx, 'reborn', NOW))
    await project('reborn', 'private')
    assert.equal(await findIdentity(db, { kind: 'robot', name: 'reborn+ci' }, NOW), undefined)
    assert.equal(old.kind, 'robot')
  })
})

describe('narrowed rights', () => {
  test('an API key allows what both its user and its own permissions do (CVE-2025-68944)', async () => {
    const userId = (await findUser(db, 'developer'))?.id ?? 0
    const id = await key(userId, 'narrow', [{ repository: 'private/one*', rights: ['pull', 'delete'] }])
    const narrow = await identity('developer', id)
    assert.equal(await rights(narrow, 'private/one-app'), 'pull')
    assert.equal(await rights(narrow, 'private/two'), '')
    assert.equal(await rights(narrow, 'private/one/deep'), '')
    assert.equal(await rights(narrow, 'authenticated/app'), '')
    assert.equal(await rights(narrow, 'public/app'), 'pull')
    const readable = await readableBy(db, narrow, ADMINS)
    const seen = ['private/one-app', 'private/two', 'authenticated/app', 'public/app', 'nowhere/one']
    assert.deepEqual(
      seen.filter((name) => mayRead(readable, parseRepositoryName(name))),
      ['private/one-app', 'public/app'],
    )
  })

  test('an admin with a narrow key is no admin', async () => {
    const userId = (await findUser(db, 'root'))?.id ?? 0
    const id = await key(userId, 'narrow', [{ repository: 'public/**', rights: ['pull'] }])
    const narrow = await identity('root', id)
    assert.equal(await rights(narrow, 'private/app'), '')
    assert.equal(await rights(narrow, 'public/app'), 'pull')
    assert.notEqual(await readableBy(db, narrow, ADMINS), 'everything')
  })

  test('a key of another user is not his (by id)', async () => {
    const userId = await user('thief')
    const id = await key(userId, 'own', null)
    assert.equal(await findIdentity(db, { kind: 'user', name: 'developer', key: id }, NOW), undefined)
  })

  test('no right comes from how a robot is called (Harbor #23675)', async () => {
    await robot('+scanner-x', null, [])
    assert.equal(await rights(await identity('+scanner-x'), 'private/app'), '')
    await robot('private+fake', null, [])
    assert.equal(await rights(await identity('private+fake'), 'private/app'), '')
  })

  test('permissions that cannot be read permit nothing', async () => {
    await robot('+broken', null, [{ repository: '**', rights: ['everything'] }])
    assert.equal(await rights(await identity('+broken'), 'private/app'), '')
  })
})
