// The audit log: what it tells of a registry at work, who reads it, and that nothing secret is in it.
import assert from 'node:assert/strict'
import type { JsonWebKey } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { publicKeysOf } from '#access/audit/audit-key.ts'
import { type AuditEntryView, sealedEntryOf } from '#access/audit/entry-view.ts'
import { verifyChain } from '#access/audit/verify-chain.ts'
import type { AuditCheckpointRecord } from '#db/audit.ts'
import { type Answer, json, send, type Target } from './client.ts'
import { expectStatus, makeImage, pushImage } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const OTHER = 'another good password'
let server: TestServer

const as = (user: string, password = PASSWORD): Target => ({
  port: server.port,
  headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
})
const admin = () => as('admin')

async function call(target: Target, method: string, path: string, body?: unknown): Promise<Answer> {
  return send(target, method, `/api/v1${path}`, {
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
}

/** Logins and refusals are written a moment after they happen. */
async function entries(query: string, target = admin(), path = '/audit'): Promise<AuditEntryView[]> {
  await server.audit.seal()
  const items: AuditEntryView[] = []
  for (let next: string | undefined = `${path}?${query}`; next; ) {
    const answer: Answer = await call(target, 'GET', next)
    expectStatus(answer, 200)
    items.push(...(json(answer) as { items: AuditEntryView[] }).items)
    next = /<\/api\/v1([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
  }
  return items
}

before(async () => {
  server = await startServer({ adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' } })
  for (const name of ['ann', 'bob', 'carl'])
    expectStatus(await call(admin(), 'POST', '/users', { name, password: PASSWORD }), 201)
  for (const name of ['team', 'a_b', 'axb'])
    expectStatus(await call(admin(), 'POST', '/projects', { name }), 201)
  for (const [project, name, role] of [
    ['team', 'ann', 'maintainer'],
    ['team', 'carl', 'developer'],
    ['a_b', 'bob', 'owner'],
  ])
    expectStatus(await call(admin(), 'PUT', `/projects/${project}/members/users/${name}`, { role }), 200)
  await pushImage(as('ann'), 'team/app', '1', makeImage())
})
after(() => server[Symbol.asyncDispose]())

describe('the audit log', () => {
  test('tells of a change: who, what, to what, from where, and which values, never a secret', async () => {
    const [made] = await entries('action=users.created&target=ann')
    assert.ok(made)
    const { id: _, position, requestId, ...told } = made
    assert.ok(position !== null && requestId)
    assert.equal(told.actor, 'admin')
    assert.equal(told.result, 'done')
    assert.match(String(told.remote), /127\.0\.0\.1/)
    assert.deepEqual(told.detail, { members: ['name', 'password'], values: { name: 'ann' } })
    const [role] = await entries('action=projects.members.set&target=users/ann')
    assert.deepEqual(
      [role?.project, role?.detail],
      ['team', { members: ['role'], values: { role: 'maintainer' } }],
    )
  })

  test('tells of pushes and deletes, under the name of who did it', async () => {
    const [pushed] = await entries('action=manifest.pushed&actor=ann')
    assert.deepEqual([pushed?.target, pushed?.project], ['team/app:1', 'team'])
    expectStatus(await send(as('ann'), 'DELETE', '/v2/team/app/manifests/1'), 202)
    const [deleted] = await entries('action=tag.deleted')
    assert.deepEqual([deleted?.actor, deleted?.target], ['ann', 'team/app:1'])
  })

  test('tells of logins, wrong passwords and refusals, the same ones as one row with their number', async () => {
    for (let count = 0; count < 3; count++) {
      expectStatus(await send(as('bob'), 'GET', '/v2/team/app/manifests/1'), 403)
      expectStatus(await call(as('bob', 'wrong'), 'GET', '/me'), 401)
      expectStatus(await call(as('bob'), 'POST', '/users', { name: 'eve', password: OTHER }), 403)
    }
    expectStatus(await call(as('secret typed here', OTHER), 'GET', '/me'), 401)
    const refused = (await entries('result=refused')).map(({ action, actor, target, detail }) => ({
      ...{ action, actor, target, detail },
    }))
    assert.deepEqual(refused, [
      { action: 'login', actor: null, target: null, detail: { fault: 'wrong credentials' } },
      { action: 'users.created', actor: 'bob', target: null, detail: { status: 403 } },
      { action: 'login', actor: 'bob', target: null, detail: { fault: 'wrong credentials' } },
      { action: 'manifest.pulled', actor: 'bob', target: 'team/app:1', detail: { reason: 'DENIED' } },
    ])
    await server.audit.seal(true)
    assert.equal(
      (await entries('action=manifest.pulled')).reduce((sum, { count }) => sum + count, 0),
      3,
    )
    assert.ok((await entries('action=login&result=done&actor=ann')).length > 0)
  })

  test('tells of changes that did not come about', async () => {
    expectStatus(await call(admin(), 'POST', '/users', { name: 'ann', password: PASSWORD }), 409)
    const [failed] = await entries('result=failed')
    assert.deepEqual([failed?.action, failed?.detail], ['users.created', { status: 409 }])
  })

  test('holds no password, secret or key, whatever was sent (CVE-2026-18255)', async () => {
    const permissions = [{ repository: 'team/**', rights: ['pull'] }]
    const robot = await call(admin(), 'POST', '/projects/team/robots', { name: 'ci', permissions })
    const key = await call(as('ann'), 'POST', '/me/keys', { name: 'laptop', permissions: null })
    const secrets = [robot, key].map((answer) => (json(answer) as { secret: string }).secret)
    expectStatus(await call(as('ann'), 'PUT', '/me/password', { current: PASSWORD, password: OTHER }), 204)
    expectStatus(
      await call(as('ann', OTHER), 'PUT', '/me/password', { current: OTHER, password: PASSWORD }),
      204,
    )
    const text = JSON.stringify(await entries('sort=id'))
    for (const secret of [...secrets, PASSWORD, OTHER, 'secret typed here', 'argon2'])
      assert.ok(!text.includes(secret), secret)
    assert.match(text, /me\.password\.set.*"members":\["current","password"\]/)
  })

  test('is read by auditors and admins, of a project by its maintainers, and names are compared exactly (CVE-2026-110697)', async () => {
    expectStatus(await call(as('ann'), 'GET', '/audit'), 403)
    expectStatus(await call(as('carl'), 'GET', '/projects/team/audit'), 403)
    expectStatus(await call(as('bob'), 'GET', '/projects/team/audit'), 403)
    const own = await entries('sort=id', as('ann'), '/projects/team/audit')
    assert.ok(own.length > 3 && own.every(({ project }) => project === 'team'))
    const theirs = await entries('sort=id', as('bob'), '/projects/a_b/audit')
    assert.ok(theirs.length > 0 && theirs.every(({ project }) => project === 'a_b'))
    for (const wild of ['project=a%25', 'actor=ad_in', 'target=%25'])
      assert.deepEqual(await entries(wild), [])
  })

  test('takes only the filters that it names (CVE-2019-19026, CVE-2025-30086)', async () => {
    const wrong = ['hash=00', 'sort=hash', 'sort=id;drop', 'since=yesterday', 'result=x', 'actor=a&actor=b']
    for (const query of [...wrong, 'sort=position&actor=ann', 'after=x', 'actor='])
      expectStatus(await call(admin(), 'GET', `/audit?${query}`), 400)
  })

  test('is paged in both directions, and between two times', async () => {
    const forward = await entries('sort=id&limit=3')
    const backward = await entries('sort=-id&limit=3')
    assert.deepEqual(
      forward.slice(0, 5).map(({ id }) => id),
      backward
        .reverse()
        .slice(0, 5)
        .map(({ id }) => id),
    )
    assert.deepEqual(await entries('since=2999-01-01T00:00:00Z'), [])
    assert.deepEqual(await entries('until=2001-01-01T00:00:00Z'), [])
    assert.ok(
      (await entries('since=2001-01-01T00:00:00Z&until=2999-01-01T00:00:00Z')).length >= forward.length,
    )
  })

  test('can be checked by whoever reads it, without trust in the registry', async () => {
    await server.audit.seal()
    const { checkpoints, keys } = json(await call(admin(), 'GET', '/audit/checkpoints')) as {
      checkpoints: (Omit<AuditCheckpointRecord, 'at'> & { at: string })[]
      keys: { kid: string; jwk: JsonWebKey }[]
    }
    assert.ok(!JSON.stringify(keys).includes('"d"'), 'the private half stays here')
    const chain = await entries('sort=position')
    const end = checkpoints.at(-1)?.position ?? 0
    const report = await verifyChain({
      checkpoints: checkpoints.map((one) => ({ ...one, at: Date.parse(one.at) })),
      keys: publicKeysOf(keys),
      async *entriesAfter(position) {
        const sealed = chain.flatMap((entry) => sealedEntryOf(entry) ?? [])
        yield* sealed.filter((entry) => entry.position > position && entry.position <= end)
      },
    })
    assert.equal(report.broken, undefined)
    assert.equal(report.entries, end)
  })
})
