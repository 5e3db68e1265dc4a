// Rules inside projects: what they allow and deny to whom, in rights and in lists.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { findIdentity, type Identity, readableBy, rightsIn } from '#access/rights.ts'
import {
  accessRulesOf,
  deleteAccessRule,
  findAccessRule,
  insertAccessRule,
  type NewAccessRule,
  updateAccessRule,
} from '#db/access-rules.ts'
import { apiKeysOf, insertApiKey } from '#db/api-keys.ts'
import type { Db } from '#db/db.ts'
import { addToGroup, findGroup, insertGroup } from '#db/groups.ts'
import { findProject, insertProject, setUserRole } from '#db/projects.ts'
import { findRobot, insertRobot } from '#db/robots.ts'
import { findUser, insertUser } from '#db/users.ts'
import { ANONYMOUS } from '#identity/principal.ts'
import { mayRead } from '#identity/readable.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { openFacts } from '../../test/processes/test-database.ts'

const NOW = 1_700_000_000_000
const OPTIONS = { projectCreation: 'admins', projectDepth: 1 } as const

let db: Db
let projectId: number
const ids: Record<string, number> = {}

before(async () => {
  db = await openFacts()
  await db.transaction(async (tx) => {
    for (const name of ['dev', 'owner', 'stranger', 'grouped']) await insertUser(tx, { name, now: NOW })
    await insertUser(tx, { name: 'root', systemRole: 'admin', now: NOW })
    await insertUser(tx, { name: 'auditor', systemRole: 'auditor', now: NOW })
    for (const name of ['dev', 'owner', 'stranger', 'grouped', 'root', 'auditor'])
      ids[name] = (await findUser(tx, name))?.id ?? 0
    await insertGroup(tx, 'ops', NOW)
    ids['ops'] = (await findGroup(tx, 'ops'))?.id ?? 0
    await addToGroup(tx, ids['ops'], ids['grouped'] ?? 0)
    for (const name of ['team', 'open'])
      await insertProject(tx, { name, visibility: name === 'open' ? 'public' : 'private', now: NOW })
    projectId = (await findProject(tx, 'team'))?.id ?? 0
    await setUserRole(tx, { projectId, userId: ids['dev'] ?? 0, role: 'developer' })
    await setUserRole(tx, { projectId, userId: ids['owner'] ?? 0, role: 'owner' })
    const permissions = JSON.stringify([{ repository: 'team/app', rights: ['pull', 'push'] }])
    await insertRobot(tx, {
      name: 'team+ci',
      projectId,
      secretHash: '',
      permissions,
      expiresAt: null,
      now: NOW,
    })
    ids['team+ci'] = (await findRobot(tx, 'team+ci'))?.id ?? 0
  })
})
after(() => db.close())
beforeEach(() => db.transaction((tx) => tx.kysely.deleteFrom('access_rules').execute()).then(() => {}))

type Draft = Pick<NewAccessRule, 'effect' | 'repository' | 'rights'> & { readonly for?: string }

async function rules(...drafts: Draft[]): Promise<void> {
  for (const [at, { for: whom, ...rule }] of drafts.entries()) {
    const kind = whom === 'ops' ? 'group' : whom?.includes('+') ? 'robot' : 'user'
    const subject = whom === undefined ? undefined : ({ kind, id: ids[whom] ?? 0 } as const)
    const added = { ...rule, name: `rule${at}`, subject }
    assert.ok(await db.transaction((tx) => insertAccessRule(tx, projectId, added, NOW)))
  }
}

async function identity(name: string | undefined, key?: number): Promise<Identity> {
  const kind = name?.includes('+') ? 'robot' : 'user'
  const principal =
    name === undefined ? ANONYMOUS : ({ kind, name, ...(key !== undefined && { key }) } as const)
  const found = await findIdentity(db, principal, NOW)
  assert.ok(found)
  return found
}

async function rights(name: string | undefined, repository: string, key?: number): Promise<string> {
  const found = await rightsIn(db, await identity(name, key), parseRepositoryName(repository), OPTIONS)
  return [...found].sort().join(' ')
}

async function reads(name: string | undefined, repository: string): Promise<boolean> {
  const readable = await readableBy(db, await identity(name), OPTIONS)
  const isRead = mayRead(readable, parseRepositoryName(repository))
  assert.equal(
    isRead,
    (await rights(name, repository)).split(' ').includes('pull'),
    'lists show what may be pulled',
  )
  return isRead
}

describe('a rule that allows', () => {
  test('gives somebody what his role does not, in what its pattern matches', async () => {
    await rules(
      { effect: 'allow', repository: 'team/shared/**', rights: ['pull', 'push'], for: 'stranger' },
      { effect: 'allow', repository: 'team/ops', rights: ['delete', 'manage'], for: 'ops' },
      { effect: 'allow', repository: 'team/*', rights: ['overwrite'], for: 'team+ci' },
    )
    assert.equal(await rights('stranger', 'team/shared/a/b'), 'pull push')
    assert.equal(await rights('stranger', 'team/other'), '')
    assert.equal(await rights('grouped', 'team/ops'), 'delete manage')
    assert.equal(await rights('team+ci', 'team/app'), 'overwrite pull push')
    assert.equal(await rights('team+ci', 'team/else'), 'overwrite')
    assert.deepEqual(
      [
        await reads('stranger', 'team/shared/x'),
        await reads('stranger', 'team/app'),
        await reads('grouped', 'team/ops'),
      ],
      [true, false, false],
    )
  })

  test('opens a repository to everyone, with a narrowed key and without a login too', async () => {
    await rules({ effect: 'allow', repository: 'team/public/*', rights: ['pull'] })
    for (const name of [undefined, 'stranger', 'team+ci'])
      assert.deepEqual(
        [await reads(name, 'team/public/a'), await reads(name, 'team/secret')],
        [true, false],
        name,
      )
  })

  test('holds in its own project alone, whatever its pattern says', async () => {
    await rules({ effect: 'allow', repository: '**', rights: ['push'], for: 'stranger' })
    assert.equal(await rights('stranger', 'team/a'), 'push')
    assert.equal(await rights('stranger', 'open/a'), 'pull')
    assert.equal(await rights('stranger', 'nowhere/a'), '')
  })

  test('gives a narrowed key no more than the key allows', async () => {
    await rules({ effect: 'allow', repository: 'team/**', rights: ['pull', 'push'], for: 'stranger' })
    const permissions = JSON.stringify([{ repository: 'team/**', rights: ['pull'] }])
    const userId = ids['stranger'] ?? 0
    const key = { userId, name: 'narrow', secretHash: 'narrow', permissions, expiresAt: null, now: NOW }
    await db.transaction((tx) => insertApiKey(tx, key))
    const id = (await apiKeysOf(db, userId))[0]?.id ?? 0
    assert.equal(await rights('stranger', 'team/app'), 'pull push')
    assert.equal(await rights('stranger', 'team/app', id), 'pull')
  })
})

describe('a rule that denies', () => {
  test('wins over roles, permissions and whatever allows', async () => {
    await rules(
      { effect: 'deny', repository: 'team/prod/**', rights: ['push', 'overwrite', 'delete'] },
      { effect: 'allow', repository: 'team/prod/**', rights: ['push'], for: 'dev' },
      { effect: 'deny', repository: 'team/app', rights: ['push'], for: 'team+ci' },
    )
    assert.equal(await rights('dev', 'team/prod/a'), 'pull')
    assert.equal(await rights('owner', 'team/prod/a'), 'manage pull')
    assert.equal(await rights('dev', 'team/a'), 'overwrite pull push')
    assert.equal(await rights('team+ci', 'team/app'), 'pull')
  })

  test('hides a repository from whom it names, also in a project that is open', async () => {
    const openId = (await findProject(db, 'open'))?.id ?? 0
    const hidden = { effect: 'deny', repository: 'open/hidden', rights: ['pull'], name: 'hide' } as const
    await db.transaction((tx) => insertAccessRule(tx, openId, { ...hidden, subject: undefined }, NOW))
    for (const name of [undefined, 'stranger', 'team+ci'])
      assert.deepEqual([await reads(name, 'open/hidden'), await reads(name, 'open/app')], [false, true], name)
    await rules({ effect: 'deny', repository: 'team/**', rights: ['pull'], for: 'ops' })
    assert.equal(await reads('dev', 'team/app'), true)
  })

  test('takes nothing from who has a role in the whole registry', async () => {
    await rules({
      effect: 'deny',
      repository: '**',
      rights: ['pull', 'push', 'overwrite', 'delete', 'manage'],
    })
    assert.equal(await rights('root', 'team/app'), 'delete manage overwrite pull push')
    assert.equal(await rights('auditor', 'team/app'), 'pull')
    assert.equal(await rights('owner', 'team/app'), '')
  })
})

describe('rules', () => {
  test('say whom they are for, are changed by who saw them last, and go', async () => {
    await rules({ effect: 'allow', repository: 'team/a', rights: ['pull'], for: 'ops' })
    assert.deepEqual(await accessRulesOf(db, projectId), [
      {
        name: 'rule0',
        effect: 'allow',
        repository: 'team/a',
        rights: ['pull'],
        subject: { kind: 'group', name: 'ops' },
        createdAt: NOW,
        updatedAt: NOW,
        version: 1,
      },
    ])
    const changed = {
      name: 'rule0',
      effect: 'deny',
      repository: 'team/b',
      rights: ['push'],
      subject: undefined,
    } as const
    const change = (version: number) =>
      db.transaction((tx) => updateAccessRule(tx, projectId, changed, { now: NOW + 1, version }))
    assert.deepEqual([await change(1), await change(1)], [true, false])
    const found = await findAccessRule(db, projectId, 'rule0')
    assert.deepEqual([found?.effect, found?.subject, found?.version], ['deny', undefined, 2])
    const remove = () => db.transaction((tx) => deleteAccessRule(tx, projectId, 'rule0'))
    assert.deepEqual([await remove(), await remove()], [true, false])
  })
})
