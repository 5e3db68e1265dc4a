// Robots and keys of somebody who left: they stop, and a colleague can take robots over.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { json, send, type Target } from './client.ts'
import { expectStatus, makeImage, pushImage } from './content.ts'
import { type Managed, PASSWORD, startManaged } from './people.ts'

let managed: Managed

before(async () => {
  managed = await startManaged()
  await managed.project('team')
  await pushImage(managed.as('admin'), 'team/app', '1', makeImage())
})
after(() => managed[Symbol.asyncDispose]())

/** A maintainer of `team`, a robot that he made, and a refresh token of it. */
async function maintainerWithRobot(name: string): Promise<{ robot: Target; refresh: () => Promise<number> }> {
  await managed.users(name)
  await managed.manage('PUT', `/projects/team/members/users/${name}`, { role: 'maintainer' })
  const made = await managed.call(
    'POST',
    '/projects/team/robots',
    { name, permissions: [{ repository: 'team/**', rights: ['pull'] }] },
    managed.as(name),
  )
  expectStatus(made, 201)
  const { secret, sponsor } = json(made) as { secret: string; sponsor: string }
  assert.equal(sponsor, name)
  const robot = managed.as(`team+${name}`, secret)
  const offline = await send(robot, 'GET', '/token?service=stowage&offline_token=true&client_id=test')
  const token = (json(offline) as { refresh_token: string }).refresh_token
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: 'test' })
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const refresh = async () =>
    (await send({ port: managed.server.port }, 'POST', '/token', { headers, body: String(form) })).status
  return { robot, refresh }
}

const pull = async (target: Target) => (await send(target, 'GET', '/v2/team/app/manifests/1')).status
const show = (name: string) => managed.manage('GET', `/projects/team/robots/team+${name}`)

describe('a robot stops when whoever answers for it', () => {
  for (const [why, leave, comeBack] of [
    [
      'is disabled',
      (name: string) => managed.manage('PATCH', `/users/${name}`, { disabled: true }),
      (name: string) => managed.manage('PATCH', `/users/${name}`, { disabled: false }),
    ],
    [
      'leaves the project',
      (name: string) => managed.manage('DELETE', `/projects/team/members/users/${name}`),
      (name: string) => managed.manage('PUT', `/projects/team/members/users/${name}`, { role: 'owner' }),
    ],
    [
      'has a lesser role',
      (name: string) => managed.manage('PUT', `/projects/team/members/users/${name}`, { role: 'developer' }),
      (name: string) => managed.manage('PUT', `/projects/team/members/users/${name}`, { role: 'maintainer' }),
    ],
  ] as const) {
    test(`${why}, and goes on when he is back`, async () => {
      const name = why.replaceAll(/\W/g, '-')
      const { robot, refresh } = await maintainerWithRobot(name)
      assert.deepEqual([await pull(robot), await refresh()], [200, 200])
      await leave(name)
      assert.deepEqual([await pull(robot), await refresh()], [401, 401])
      assert.deepEqual((await show(name))['isOrphaned'], true)
      await comeBack(name)
      assert.deepEqual([await pull(robot), await refresh()], [200, 200])
    })
  }

  test('is deleted, and a colleague takes it over', async () => {
    const { robot } = await maintainerWithRobot('gone')
    await managed.manage('DELETE', '/users/gone')
    assert.equal(await pull(robot), 401)
    const { disabled, sponsor } = await show('gone')
    assert.deepEqual([disabled, sponsor], [true, null])
    // Another user of the same name is another one.
    await managed.users('gone')
    assert.equal(await pull(robot), 401)
    const enabled = await managed.manage('PATCH', '/projects/team/robots/team+gone', { disabled: false })
    assert.deepEqual([enabled['sponsor'], enabled['isOrphaned']], ['admin', false])
    assert.equal(await pull(robot), 200)
  })

  test('is no longer an admin, where it is a robot of the whole registry', async () => {
    await managed.users('second')
    await managed.manage('PATCH', '/users/second', { systemRole: 'admin' })
    const permissions = [{ repository: '**', rights: ['pull'] }]
    const made = await managed.call('POST', '/robots', { name: 'all', permissions }, managed.as('second'))
    const robot = managed.as('+all', (json(made) as { secret: string }).secret)
    assert.equal(await pull(robot), 200)
    await managed.manage('PATCH', '/users/second', { systemRole: null })
    assert.equal(await pull(robot), 401)
  })
})

test('whoever rotates the secret of a robot answers for it, and the old secret works for a while', async () => {
  const { robot } = await maintainerWithRobot('rotated')
  await managed.manage('PATCH', '/users/rotated', { disabled: true })
  const path = '/projects/team/robots/team+rotated/secret'
  const { secret } = await managed.manage('POST', path, { overlapSeconds: 60 })
  assert.deepEqual([await pull(robot), await pull(managed.as('team+rotated', String(secret)))], [200, 200])
})

test('the keys of somebody who is disabled or deleted stop with him', async () => {
  await managed.users('keyed')
  await managed.manage('PUT', '/projects/team/members/users/keyed', { role: 'guest' })
  const made = await managed.call('POST', '/me/keys', { name: 'ci' }, managed.as('keyed', PASSWORD))
  const key = managed.as('keyed', (json(made) as { secret: string }).secret)
  assert.equal(await pull(key), 200)
  await managed.manage('PATCH', '/users/keyed', { disabled: true })
  assert.equal(await pull(key), 401)
  await managed.manage('PATCH', '/users/keyed', { disabled: false })
  assert.equal(await pull(key), 200)
  await managed.manage('DELETE', '/users/keyed')
  assert.equal(await pull(key), 401)
})
