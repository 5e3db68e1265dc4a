import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeFirstAdmin } from '#access/management/first-admin.ts'
import { checkPassword } from '#access/passwords/passwords.ts'
import { adoptRepositories, projectGuard } from '#access/project-births.ts'
import type { Db } from '#db/db.ts'
import { findProject, membersOf } from '#db/projects.ts'
import { ensureRepository } from '#db/repositories.ts'
import { findUser, updateUser } from '#db/users.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { openFacts } from '../../test/processes/test-database.ts'

let db: Db
before(async () => {
  db = await openFacts()
})
after(() => db.close())

const now = () => 1_700_000_000_000

test('a weak password for the first admin stops the start, and makes nobody', async () => {
  await assert.rejects(makeFirstAdmin(db, { password: 'Harbor12345', now }), /everybody knows/)
  assert.equal(await findUser(db, 'admin'), undefined)
})

test('the first start makes an admin with a password that is told once, the second start makes nothing', async () => {
  const password = await makeFirstAdmin(db, { password: undefined, now })
  const admin = await findUser(db, 'admin')
  assert.equal(admin?.systemRole, 'admin')
  assert.equal(await checkPassword(password ?? '', admin?.passwordHash ?? ''), true)
  assert.equal(await makeFirstAdmin(db, { password: 'another good one', now }), undefined)
  assert.equal((await findUser(db, 'admin'))?.passwordHash, admin?.passwordHash)
  await db.transaction((tx) => updateUser(tx, 'admin', { disabledAt: 1 }, { now: 2 }))
  assert.equal(await makeFirstAdmin(db, { password: undefined, now }), undefined, 'also when he is disabled')
})

test('a first push makes the project, owned by who pushes, and once', async () => {
  const guard = projectGuard({ db, visibility: 'authenticated', projectDepth: 1, now })
  const caller = { principal: { kind: 'user', name: 'admin' }, requestId: 'test' } as const
  const intent = { kind: 'push-blob', repository: parseRepositoryName('team/app') } as const
  await Promise.all([guard.check(intent, caller), guard.check(intent, caller)])
  const project = await findProject(db, 'team')
  assert.equal(project?.visibility, 'authenticated')
  assert.deepEqual(await membersOf(db, project?.id ?? 0), [{ kind: 'user', name: 'admin', role: 'owner' }])
  await guard.check({ kind: 'push-blob', repository: parseRepositoryName('alone') }, caller)
  assert.ok(await findProject(db, 'library'))
})

test('repositories from before there were projects get private ones', async () => {
  await db.transaction(async (tx) => {
    for (const name of ['old/a', 'old/b/c', 'alone', 'team/x']) await ensureRepository(tx, name, now())
  })
  assert.deepEqual(await adoptRepositories(db, now), ['old'])
  assert.equal((await findProject(db, 'old'))?.visibility, 'private')
  assert.deepEqual(await adoptRepositories(db, now), [])
})
