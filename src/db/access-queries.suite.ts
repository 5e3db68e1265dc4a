// What the query files about users, groups, projects, robots, keys and tokens promise, on any engine.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { apiKeysOf, deleteApiKey, findApiKey, findApiKeyBySecret, insertApiKey } from '#db/api-keys.ts'
import type { Db } from '#db/db.ts'
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
  deleteProject,
  findProject,
  insertProject,
  membersOf,
  projectlessNames,
  projectPage,
  readableProjects,
  removeGroupRole,
  removeUserRole,
  rolesOf,
  setGroupRole,
  setUserRole,
  tombstones,
  updateProject,
} from '#db/projects.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import {
  deleteRefreshTokens,
  extendRefreshToken,
  findRefreshToken,
  insertRefreshToken,
  pruneRefreshTokens,
} from '#db/refresh-tokens.ts'
import { ensureRepository } from '#db/repositories.ts'
import { deleteRobot, findRobot, insertRobot, robotPage, rotateRobotSecret, updateRobot } from '#db/robots.ts'
import { deleteSigningKey, insertSigningKey, retireSigningKey, signingKeys } from '#db/signing-keys.ts'
import {
  countEnabledAdmins,
  deleteUser,
  findUser,
  hasUsers,
  insertUser,
  updateUser,
  userPage,
} from '#db/users.ts'

const NOW = 1_700_000_000_000

export function accessQueriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`queries about access on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    before(async () => {
      const opened = await open()
      db = opened.db
      close = opened.close
    })
    after(() => close())

    const user = async (name: string, systemRole: 'admin' | null = null) => {
      await db.transaction((tx) => insertUser(tx, { name, systemRole, now: NOW }))
      const found = await findUser(db, name)
      assert.ok(found)
      return found
    }
    const project = async (name: string, visibility: 'private' | 'authenticated' | 'public' = 'private') => {
      assert.equal(await db.transaction((tx) => insertProject(tx, { name, visibility, now: NOW })), true)
      const found = await findProject(db, name)
      assert.ok(found)
      return found
    }

    test('a user is found by name, changed when nobody else changed him meanwhile, and deleted', async () => {
      assert.equal(await hasUsers(db), false)
      const alice = await user('alice')
      assert.equal(await hasUsers(db), true)
      assert.equal(await db.transaction((tx) => insertUser(tx, { name: 'alice', now: NOW })), false)
      const change = (version: number | undefined, email: string) =>
        db.transaction((tx) => updateUser(tx, 'alice', { email }, { now: NOW + 1, version }))
      assert.equal(await change(alice.version, 'a@example.org'), true)
      assert.equal(await change(alice.version, 'b@example.org'), false)
      assert.equal(await change(undefined, 'c@example.org'), true)
      const changed = await findUser(db, 'alice')
      assert.deepEqual([changed?.email, changed?.version, changed?.updatedAt], ['c@example.org', 3, NOW + 1])
      assert.equal(await db.transaction((tx) => deleteUser(tx, 'alice', NOW)), true)
      assert.equal(await db.transaction((tx) => deleteUser(tx, 'alice', NOW)), false)
      assert.equal(await findUser(db, 'alice'), undefined)
    })

    test('users are paged by name, and admins that can come in are counted', async () => {
      for (const name of ['p1', 'p2', 'p3']) await user(name, 'admin')
      assert.deepEqual(
        (await userPage(db, 'p', 2)).map(({ name }) => name),
        ['p1', 'p2'],
      )
      assert.deepEqual(
        (await userPage(db, 'p2', 2)).map(({ name }) => name),
        ['p3'],
      )
      assert.equal(await countEnabledAdmins(db), 3)
      await db.transaction((tx) => updateUser(tx, 'p1', { disabledAt: NOW }, { now: NOW }))
      assert.equal(await countEnabledAdmins(db), 2)
    })

    test('roles come from the user himself and from his groups, and go with either', async () => {
      const { id: userId } = await user('member')
      const { id: projectId } = await project('roles')
      await db.transaction((tx) => insertGroup(tx, 'team', NOW))
      const groupId = (await findGroup(db, 'team'))?.id ?? 0
      assert.deepEqual(await rolesOf(db, projectId, userId), [])
      await db.transaction(async (tx) => {
        await setUserRole(tx, { projectId, userId, role: 'guest' })
        await setGroupRole(tx, { projectId, groupId, role: 'developer' })
      })
      assert.deepEqual(await rolesOf(db, projectId, userId), ['guest'])
      await db.transaction((tx) => addToGroup(tx, groupId, userId))
      await db.transaction((tx) => addToGroup(tx, groupId, userId))
      assert.deepEqual((await rolesOf(db, projectId, userId)).sort(), ['developer', 'guest'])
      assert.deepEqual(await membersOf(db, projectId), [
        { kind: 'user', name: 'member', role: 'guest' },
        { kind: 'group', name: 'team', role: 'developer' },
      ])
      await db.transaction((tx) => setUserRole(tx, { projectId, userId, role: 'owner' }))
      assert.deepEqual((await rolesOf(db, projectId, userId)).sort(), ['developer', 'owner'])
      assert.deepEqual(await groupMemberPage(db, groupId, '', 10), ['member'])
      assert.deepEqual(
        (await groupPage(db, '', 10)).map(({ name }) => name),
        ['team'],
      )
      assert.equal(await db.transaction((tx) => removeUserRole(tx, projectId, userId)), true)
      assert.equal(await db.transaction((tx) => removeFromGroup(tx, groupId, userId)), true)
      assert.deepEqual(await rolesOf(db, projectId, userId), [])
      assert.equal(await db.transaction((tx) => removeGroupRole(tx, projectId, groupId)), true)
      assert.equal(await db.transaction((tx) => deleteGroup(tx, 'team')), true)
      assert.deepEqual(await membersOf(db, projectId), [])
    })

    test('what a user may read: what is open, what is open to users, what is his', async () => {
      const { id: userId } = await user('reader')
      await project('open', 'public')
      await project('staff', 'authenticated')
      const { id: projectId } = await project('mine')
      await project('others')
      await db.transaction((tx) => setUserRole(tx, { projectId, userId, role: 'guest' }))
      assert.deepEqual((await readableProjects(db, undefined)).sort(), ['open'])
      assert.deepEqual((await readableProjects(db, userId)).sort(), ['mine', 'open', 'staff'])
    })

    test('a project that is deleted leaves a tombstone, and takes members and robots with it', async () => {
      const { id: userId } = await user('leaver')
      const { id: projectId, version } = await project('doomed')
      await db.transaction(async (tx) => {
        await setUserRole(tx, { projectId, userId, role: 'owner' })
        await insertRobot(tx, robotOf('doomed+ci', projectId))
      })
      const open = (of: number) =>
        db.transaction((tx) =>
          updateProject(tx, 'doomed', { visibility: 'public' }, { now: NOW, version: of }),
        )
      assert.equal(await open(version), true)
      assert.equal(await open(version), false)
      assert.equal((await findProject(db, 'doomed'))?.visibility, 'public')
      assert.equal(await db.transaction((tx) => deleteProject(tx, 'doomed', NOW + 5)), true)
      assert.equal(await db.transaction((tx) => deleteProject(tx, 'doomed', NOW + 9)), false)
      assert.equal(await findRobot(db, 'doomed+ci'), undefined)
      const stones = await tombstones(db)
      assert.deepEqual(
        stones.map((stone) => ({ ...stone })),
        [{ name: 'doomed', deletedAt: NOW + 5 }],
      )
      await project('doomed')
      await db.transaction((tx) => deleteProject(tx, 'doomed', NOW + 7))
      assert.equal((await tombstones(db))[0]?.deletedAt, NOW + 7)
      assert.equal((await projectPage(db, 'd', 1))[0]?.name === 'doomed', false)
    })

    test('repositories whose project is not there are told by their first component', async () => {
      await db.transaction(async (tx) => {
        for (const name of ['lost/a', 'lost/b', 'plain', 'open/a']) await ensureRepository(tx, name, NOW)
      })
      assert.deepEqual(await projectlessNames(db), ['library', 'lost'])
    })

    const robotOf = (name: string, projectId: number | null) => ({
      name,
      projectId,
      secretHash: 'one',
      permissions: '[]',
      expiresAt: null,
      now: NOW,
    })

    test('a robot keeps its former secret for a while when it gets a new one', async () => {
      assert.equal(await db.transaction((tx) => insertRobot(tx, robotOf('+backup', null))), true)
      assert.equal(await db.transaction((tx) => insertRobot(tx, robotOf('+backup', null))), false)
      const secret = { secretHash: 'two', previousUntil: NOW + 60_000, now: NOW }
      assert.equal(await db.transaction((tx) => rotateRobotSecret(tx, '+backup', secret)), true)
      const rotated = await findRobot(db, '+backup')
      assert.deepEqual(
        [rotated?.secretHash, rotated?.previousSecretHash, rotated?.previousSecretUntil],
        ['two', 'one', NOW + 60_000],
      )
      const change = { disabledAt: NOW, expiresAt: NOW + 1 }
      const at = { now: NOW, version: rotated?.version }
      assert.equal(await db.transaction((tx) => updateRobot(tx, '+backup', change, at)), true)
      assert.equal(await db.transaction((tx) => updateRobot(tx, '+backup', change, at)), false)
      assert.deepEqual(
        (await robotPage(db, null, '', 10)).map(({ name }) => name),
        ['+backup'],
      )
      assert.equal(await db.transaction((tx) => deleteRobot(tx, '+backup')), true)
      assert.deepEqual(await robotPage(db, null, '', 10), [])
    })

    test('an API key is found by its secret, belongs to its user and goes with him', async () => {
      const { id: userId } = await user('keyed')
      const key = { userId, name: 'ci', secretHash: 'k1', permissions: null, expiresAt: null, now: NOW }
      assert.equal(await db.transaction((tx) => insertApiKey(tx, key)), true)
      assert.equal(await db.transaction((tx) => insertApiKey(tx, { ...key, secretHash: 'k2' })), false)
      const found = await findApiKeyBySecret(db, 'k1')
      assert.equal(found?.userName, 'keyed')
      assert.equal((await findApiKey(db, found?.id ?? 0))?.name, 'ci')
      assert.equal(await findApiKeyBySecret(db, 'k2'), undefined)
      assert.deepEqual(
        (await apiKeysOf(db, userId)).map(({ name }) => name),
        ['ci'],
      )
      assert.equal(await db.transaction((tx) => deleteApiKey(tx, userId, 'other')), false)
      await db.transaction((tx) => deleteUser(tx, 'keyed', NOW))
      assert.equal(await findApiKeyBySecret(db, 'k1'), undefined)
    })

    test('refresh tokens of one account go together, those of its keys too, and of no other', async () => {
      const add = (hash: string, principal: string, expiresAt = NOW + 10) =>
        db.transaction((tx) =>
          insertRefreshToken(tx, { hash, principal, clientId: 'docker', expiresAt, now: NOW }),
        )
      await add('h1', 'bob')
      await add('h2', 'bob#7')
      await add('h3', 'bobby')
      await add('h4', 'bob-2')
      await add('h5', 'old', NOW - 1)
      await db.transaction((tx) => deleteRefreshTokens(tx, 'bob'))
      await db.transaction((tx) => pruneRefreshTokens(tx, NOW))
      await db.transaction((tx) => extendRefreshToken(tx, 'h3', NOW + 99))
      const left = await Promise.all(['h1', 'h2', 'h3', 'h4', 'h5'].map((hash) => findRefreshToken(db, hash)))
      assert.deepEqual(
        left.map((token) => token?.principal),
        [undefined, undefined, 'bobby', 'bob-2', undefined],
      )
      assert.equal(left[2]?.expiresAt, NOW + 99)
    })

    test('signing keys come newest first, retire and are forgotten', async () => {
      const key = (kid: string, createdAt: number) => ({
        kid,
        algorithm: 'ES256',
        privateJwk: '{}',
        publicJwk: '{}',
        createdAt,
      })
      await db.transaction(async (tx) => {
        await insertSigningKey(tx, key('old', NOW))
        await insertSigningKey(tx, key('new', NOW + 1))
        await retireSigningKey(tx, 'old', NOW + 2)
      })
      assert.deepEqual(
        (await signingKeys(db)).map(({ kid, retiredAt }) => [kid, retiredAt]),
        [
          ['new', null],
          ['old', NOW + 2],
        ],
      )
      await db.transaction((tx) => deleteSigningKey(tx, 'old'))
      assert.equal((await signingKeys(db)).length, 1)
    })
  })
}
