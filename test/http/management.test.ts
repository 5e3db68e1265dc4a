// `/api/v1`: what the operations of the management promise.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hashPassword } from '#access/passwords/passwords.ts'
import { deleteProject, findProject, insertProject, setUserRole } from '#db/projects.ts'
import { findUser, insertUser } from '#db/users.ts'
import { API_ROUTES } from '#http/api/routes.ts'
import type { Role } from '#identity/role.ts'
import { type Answer, json, send, type Target } from './client.ts'
import { contentOf, expectStatus, makeImage, pushBlob, pushImage } from './content.ts'
import { RawConnection } from './raw-connection.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
let server: TestServer

const as = (user: string, password = PASSWORD): Target => ({
  port: server.port,
  headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
})

async function call(
  target: Target,
  method: string,
  path: string,
  body?: unknown,
  headers = {},
): Promise<Answer> {
  return send(target, method, `/api/v1${path}`, {
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
}

const admin = () => as('admin')

before(async () => {
  server = await startServer({ adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' } })
  const { db } = server.app.registry
  const passwordHash = await hashPassword(PASSWORD)
  const now = Date.now()
  const roles: Record<string, Role> = {
    owner: 'owner',
    maintainer: 'maintainer',
    developer: 'developer',
    guest: 'guest',
  }
  await db.transaction(async (tx) => {
    await insertProject(tx, { name: 'team', visibility: 'private', now })
    await insertProject(tx, { name: 'other', visibility: 'private', now })
    for (const name of [...Object.keys(roles), 'stranger', 'foreign'])
      await insertUser(tx, { name, passwordHash, now })
    await insertUser(tx, { name: 'auditor', passwordHash, systemRole: 'auditor', now })
    const projectId = (await findProject(tx, 'team'))?.id ?? 0
    for (const [name, role] of Object.entries(roles))
      await setUserRole(tx, { projectId, userId: (await findUser(tx, name))?.id ?? 0, role })
    const otherId = (await findProject(tx, 'other'))?.id ?? 0
    await setUserRole(tx, {
      projectId: otherId,
      userId: (await findUser(tx, 'foreign'))?.id ?? 0,
      role: 'owner',
    })
  })
  // With content nobody can delete it, and who is let in sees that.
  await pushImage(as('admin'), 'team/app', '1', makeImage())
})
after(() => server[Symbol.asyncDispose]())

describe('users', () => {
  test('are made, shown without their passwords, changed, and come in', async () => {
    const made = await call(admin(), 'POST', '/users', {
      name: 'alice',
      password: PASSWORD,
      email: 'a@example.org',
    })
    expectStatus(made, 201)
    assert.doesNotMatch(made.body.toString(), /argon2|password/i)
    const { version } = json(made) as { version: number }
    assert.equal(made.headers.etag, `"v${version}"`)
    expectStatus(await call(admin(), 'POST', '/users', { name: 'alice', password: PASSWORD }), 409)
    expectStatus(await call(as('alice'), 'GET', '/me'), 200)
    const change = { displayName: 'Alice' }
    const etag = { 'If-Match': `"v${version}"` }
    expectStatus(await call(admin(), 'PATCH', '/users/alice', change, etag), 200)
    expectStatus(await call(admin(), 'PATCH', '/users/alice', change, etag), 412)
    expectStatus(await call(admin(), 'PATCH', '/users/alice', { disabled: true }), 200)
    expectStatus(await call(as('alice'), 'GET', '/me'), 401)
    expectStatus(await call(admin(), 'PATCH', '/users/alice', { disabled: false }), 200)
    expectStatus(
      await call(as('alice'), 'PUT', '/me/password', { current: 'wrong', password: 'another good one' }),
      403,
    )
    expectStatus(
      await call(as('alice'), 'PUT', '/me/password', { current: PASSWORD, password: 'another good one' }),
      204,
    )
    expectStatus(await call(as('alice'), 'GET', '/me'), 401)
    expectStatus(await call(as('alice', 'another good one'), 'GET', '/me'), 200)
    expectStatus(await call(admin(), 'DELETE', '/users/alice'), 204)
    expectStatus(await call(admin(), 'GET', '/users/alice'), 404)
  })

  test('what another admin changed meanwhile is neither changed nor deleted', async () => {
    await call(admin(), 'POST', '/users', { name: 'versioned', password: PASSWORD })
    await call(admin(), 'POST', '/projects', { name: 'versioned' })
    await call(admin(), 'POST', '/projects/versioned/robots', { name: 'ci', permissions: [] })
    const robot = '/projects/versioned/robots/versioned+ci'
    const stale = { 'If-Match': '"v9"' }
    for (const [method, path, body] of [
      ['PATCH', '/users/versioned', {}],
      ['PUT', '/users/versioned/password', { password: 'another good one' }],
      ['DELETE', '/users/versioned', undefined],
      ['PATCH', '/projects/versioned', {}],
      ['DELETE', '/projects/versioned', undefined],
      ['PATCH', robot, {}],
      ['POST', `${robot}/secret`, {}],
      ['DELETE', robot, undefined],
    ] as const)
      expectStatus(await call(admin(), method, path, body, stale), 412)
    const malformed = ['v1', 'W/"v1"', '"v1", "v2"', '""']
    for (const value of malformed)
      expectStatus(await call(admin(), 'DELETE', robot, undefined, { 'If-Match': value }), 412)
    for (const path of [robot, '/projects/versioned', '/users/versioned']) {
      const { etag = '' } = (await call(admin(), 'GET', path)).headers
      expectStatus(await call(admin(), 'DELETE', path, undefined, { 'If-Match': etag }), 204)
      expectStatus(await call(admin(), 'DELETE', path, undefined, { 'If-Match': etag }), 404)
    }
    expectStatus(await call(admin(), 'PUT', '/groups/x/members/y', undefined, stale), 400)
  })

  test('nobody makes himself an admin, and unknown members are refused, all told at once (CVE-2019-16097)', async () => {
    const body = { name: 'mallory', password: PASSWORD, has_admin_role: true, password_hash: 'x' }
    const answer = await call(admin(), 'POST', '/users', body)
    expectStatus(answer, 400)
    assert.match(answer.body.toString(), /has_admin_role.*password_hash/)
    expectStatus(await call(as('stranger'), 'PATCH', '/users/stranger', { systemRole: 'admin' }), 403)
  })

  test('the last admin cannot be lost', async () => {
    for (const [method, body] of [
      ['DELETE', undefined],
      ['PATCH', { disabled: true }],
      ['PATCH', { systemRole: null }],
    ] as const)
      expectStatus(await call(admin(), method, '/users/admin', body), 409)
    expectStatus(await call(admin(), 'GET', '/me'), 200)
  })

  test('come with a hash of bcrypt in place of a password, and with no other', async () => {
    const hash = (cost: string) => `$2y$${cost}$${'a'.repeat(53)}`
    const made = await call(admin(), 'POST', '/users', { name: 'imported', passwordHash: hash('10') })
    expectStatus(made, 201)
    assert.doesNotMatch(made.body.toString(), /\$2y/)
    for (const given of [
      { passwordHash: hash('17') },
      { passwordHash: hash('10').slice(1) },
      { passwordHash: '$argon2id$v=19$m=8,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ' },
      { passwordHash: hash('10'), password: PASSWORD },
      {},
    ])
      expectStatus(await call(admin(), 'POST', '/users', { name: 'refused', ...given }), 400)
    expectStatus(await call(admin(), 'DELETE', '/users/imported'), 204)
  })

  test('a weak password is refused', async () => {
    for (const password of ['short', 'Harbor12345'])
      expectStatus(await call(admin(), 'POST', '/users', { name: 'weak', password }), 400)
  })

  test('names are compared exactly, whatever they hold (CVE-2026-110697)', async () => {
    for (const name of ['a_b', 'axb']) await call(admin(), 'POST', '/users', { name, password: PASSWORD })
    expectStatus(await call(admin(), 'DELETE', '/users/a_b'), 204)
    expectStatus(await call(admin(), 'GET', '/users/axb'), 200)
    expectStatus(await call(admin(), 'GET', '/users/a%25'), 404)
  })

  test('are listed page by page, and nothing else can be asked of a list (CVE-2019-19026, CVE-2019-19029, CVE-2024-22261, CVE-2025-30086)', async () => {
    const names: string[] = []
    for (let path: string | undefined = '/users?limit=3'; path; ) {
      const answer: Answer = await call(admin(), 'GET', path)
      expectStatus(answer, 200)
      names.push(...(json(answer) as { items: { name: string }[] }).items.map(({ name }) => name))
      path = /<\/api\/v1([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    }
    assert.deepEqual(names, [...new Set(names)].sort())
    assert.ok(names.includes('admin') && names.length > 6)
    for (const query of ['sort=password_hash', 'q=name%3Dx', 'limit=0', 'limit=1e3', 'after=a&after=b'])
      expectStatus(await call(admin(), 'GET', `/users?${query}`), 400)
  })
})

describe('groups, projects and members', () => {
  test('a group gives its members what it may, until they leave it', async () => {
    for (const [path, body] of [
      ['/groups', { name: 'devs' }],
      ['/projects', { name: 'shared' }],
    ] as const)
      expectStatus(await call(admin(), 'POST', path, body), 201)
    expectStatus(await call(admin(), 'PUT', '/groups/devs/members/stranger'), 204)
    expectStatus(
      await call(admin(), 'PUT', '/projects/shared/members/groups/devs', { role: 'developer' }),
      200,
    )
    await pushImage(as('stranger'), 'shared/app', '1', makeImage())
    const members = json(await call(as('stranger'), 'GET', '/projects/shared/members'))
    assert.deepEqual(members, {
      items: [
        { kind: 'user', name: 'admin', role: 'owner' },
        { kind: 'group', name: 'devs', role: 'developer' },
      ],
    })
    expectStatus(await call(admin(), 'DELETE', '/groups/devs/members/stranger'), 204)
    expectStatus(await send(as('stranger'), 'GET', '/v2/shared/app/manifests/1'), 403)
    expectStatus(await call(as('stranger'), 'GET', '/projects/shared'), 403)
  })

  test('a project is opened by its visibility', async () => {
    expectStatus(await call(admin(), 'PATCH', '/projects/shared', { visibility: 'authenticated' }), 200)
    expectStatus(await send(as('stranger'), 'GET', '/v2/shared/app/manifests/1'), 200)
    expectStatus(await call(as('stranger'), 'GET', '/projects/shared'), 200)
    expectStatus(await call(admin(), 'PATCH', '/projects/shared', { visibility: 'everybody' }), 400)
  })

  test('who is in an open project is told to its members alone (CVE-2019-19030)', async () => {
    expectStatus(await call(as('stranger'), 'GET', '/projects/shared/members'), 403)
    expectStatus(await call(as('auditor'), 'GET', '/projects/shared/members'), 200)
  })

  test('a list holds the projects that its reader may pull from', async () => {
    const listedFor = async (who: string) =>
      (json(await call(as(who), 'GET', '/projects')) as { items: { name: string }[] }).items.map(
        ({ name }) => name,
      )
    assert.deepEqual(await listedFor('foreign'), ['other', 'shared'])
    assert.deepEqual(await listedFor('guest'), ['shared', 'team'])
    assert.deepEqual(await listedFor('auditor'), await listedFor('admin'))
    const paged = await call(as('guest'), 'GET', '/projects?limit=1')
    assert.match(String(paged.headers.link), /limit=1&after=shared>; rel="next"/)
  })

  test('a project with content is not deleted, and an empty one takes its tokens with it (Harbor #22900)', async () => {
    expectStatus(await call(admin(), 'DELETE', '/projects/shared'), 409)
    expectStatus(await call(admin(), 'POST', '/projects', { name: 'brief' }), 201)
    const asked = await send(admin(), 'GET', '/token?scope=repository:brief/app:pull,push')
    const { token } = json(asked) as { token: string }
    expectStatus(await call(admin(), 'DELETE', '/projects/brief'), 204)
    expectStatus(await call(admin(), 'POST', '/projects', { name: 'brief' }), 201)
    const target = { port: server.port, headers: { Authorization: `Bearer ${token}` } }
    expectStatus(await send(target, 'POST', '/v2/brief/app/blobs/uploads/'), 401)
  })

  test('a project is made by everyone where the configuration says so, but around old repositories by an admin', async () => {
    await using open = await startServer({
      adminPassword: PASSWORD,
      env: { REGISTRY_AUTH: 'stowage', REGISTRY_AUTH_STOWAGE_PROJECTCREATION: 'everyone' },
    })
    const there = (target: Target): Target => ({ ...target, port: open.port })
    expectStatus(await call(there(admin()), 'POST', '/users', { name: 'stranger', password: PASSWORD }), 201)
    expectStatus(await call(there(as('stranger')), 'POST', '/projects', { name: 'mine' }), 201)
    expectStatus(await call(there(as('stranger')), 'DELETE', '/projects/mine'), 204)
    await pushImage(there(admin()), 'old/app', '1', makeImage())
    await open.app.registry.db.transaction((tx) => deleteProject(tx, 'old', 0))
    for (const name of ['old/app', 'old/new']) {
      expectStatus(await send(there(as('stranger')), 'GET', `/v2/${name}/manifests/1`), 403)
      expectStatus(await send(there(as('stranger')), 'POST', `/v2/${name}/blobs/uploads/`), 403)
    }
    expectStatus(await call(there(as('stranger')), 'POST', '/projects', { name: 'old' }), 409)
    expectStatus(await call(there(admin()), 'POST', '/projects', { name: 'old' }), 201)
    expectStatus(await send(there(as('stranger')), 'GET', '/v2/old/app/manifests/1'), 403)
    expectStatus(await call(there(admin()), 'DELETE', '/projects/old'), 409)
  })

  test('the default project counts names of one component as its own', async () => {
    await pushBlob(admin(), 'plain', contentOf('plain'))
    expectStatus(await call(admin(), 'DELETE', '/projects/library'), 409)
  })
})

describe('robots and keys', () => {
  const everywhere = [{ repository: '**', rights: ['pull', 'push'] }]
  const secretOf = (answer: Answer) => (json(answer) as { secret: string }).secret

  test('a robot works until it is disabled, and through a rotation (CVE-2026-18255, CVE-2026-105447)', async () => {
    const made = await call(admin(), 'POST', '/projects/shared/robots', {
      name: 'ci',
      permissions: everywhere,
    })
    expectStatus(made, 201)
    const first = secretOf(made)
    await pushImage(as('shared+ci', first), 'shared/built', '1', makeImage())
    expectStatus(await send(as('shared+ci', first), 'POST', '/v2/brief/app/blobs/uploads/'), 403)
    const listed = await call(admin(), 'GET', '/projects/shared/robots')
    assert.doesNotMatch(listed.body.toString(), /secret|stw_/)
    const path = '/projects/shared/robots/shared%2Bci'
    const rotated = await call(admin(), 'POST', `${path}/secret`, { overlapSeconds: 60 })
    const second = secretOf(rotated)
    for (const secret of [first, second])
      expectStatus(await send(as('shared+ci', secret), 'GET', '/v2/shared/built/manifests/1'), 200)
    const third = secretOf(await call(admin(), 'POST', `${path}/secret`, {}))
    expectStatus(await send(as('shared+ci', first), 'GET', '/v2/'), 401)
    expectStatus(await send(as('shared+ci', second), 'GET', '/v2/'), 401)
    expectStatus(await call(as('shared+ci', third), 'GET', '/me'), 403)
    expectStatus(await call(admin(), 'PATCH', path, { disabled: true }), 200)
    expectStatus(await send(as('shared+ci', third), 'GET', '/v2/'), 401)
    expectStatus(await call(admin(), 'DELETE', '/projects/brief/robots/shared%2Bci'), 404)
    expectStatus(await call(admin(), 'DELETE', path), 204)
  })

  test('a robot of the whole registry is the admin of nothing', async () => {
    const made = await call(admin(), 'POST', '/robots', {
      name: 'backup',
      permissions: [{ repository: '**', rights: ['pull'] }],
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    })
    expectStatus(made, 201)
    expectStatus(await send(as('+backup', secretOf(made)), 'GET', '/v2/shared/app/manifests/1'), 200)
    expectStatus(await call(as('+backup', secretOf(made)), 'GET', '/users'), 403)
    expectStatus(
      await call(admin(), 'POST', '/robots', {
        name: 'x',
        permissions: [{ repository: 'a[b', rights: ['pull'] }],
      }),
      400,
    )
  })

  test('a key manages for its user, unless it was narrowed; only its user sees it', async () => {
    const full = await call(as('stranger'), 'POST', '/me/keys', { name: 'full' })
    expectStatus(await call(as('stranger', secretOf(full)), 'GET', '/me'), 200)
    const narrow = await call(as('stranger'), 'POST', '/me/keys', {
      name: 'narrow',
      permissions: [{ repository: 'shared/**', rights: ['pull'] }],
    })
    expectStatus(await send(as('stranger', secretOf(narrow)), 'GET', '/v2/'), 200)
    expectStatus(await call(as('stranger', secretOf(narrow)), 'GET', '/me'), 403)
    const keys = await call(as('stranger'), 'GET', '/me/keys')
    assert.deepEqual(
      (json(keys) as { items: { name: string }[] }).items.map(({ name }) => name),
      ['full', 'narrow'],
    )
    assert.doesNotMatch(keys.body.toString(), /secret|stw_/)
    assert.deepEqual(json(await call(as('foreign'), 'GET', '/me/keys')), { items: [] })
    expectStatus(await call(as('foreign'), 'DELETE', '/me/keys/full'), 404)
    expectStatus(await call(as('stranger'), 'DELETE', '/me/keys/full'), 204)
    expectStatus(await call(as('stranger', secretOf(full)), 'GET', '/me'), 401)
  })
})

describe('every answer', () => {
  test('carries headers that a browser obeys, and never a permission for other sites', async () => {
    const answer = await call(admin(), 'GET', '/me', undefined, { Origin: 'https://evil.example' })
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/)
    assert.equal(answer.headers['access-control-allow-origin'], undefined)
  })

  test('is a problem document when it refuses', async () => {
    const answer = await call(as('stranger'), 'GET', '/users')
    assert.equal(answer.headers['content-type'], 'application/problem+json')
    assert.deepEqual(json(answer), {
      type: 'about:blank',
      title: 'Not allowed',
      status: 403,
      detail: 'you may not do that here',
    })
  })

  test('is a problem document too where there is no such address, or it takes other methods', async () => {
    for (const [method, path, status, allow] of [
      ['GET', '/nothing', 404, undefined],
      ['GET', '', 404, undefined],
      ['GET', '/users/', 404, undefined],
      ['PUT', '/users', 405, 'GET, POST, HEAD'],
      ['POST', '/users/admin', 405, 'GET, PATCH, DELETE, HEAD'],
      ['PROPFIND', '/me/password', 405, 'PUT'],
    ] as const) {
      const answer = await call(admin(), method, path)
      expectStatus(answer, status)
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.equal(answer.headers['x-content-type-options'], 'nosniff')
      assert.equal(answer.headers.allow, allow)
    }
    expectStatus(await call(admin(), 'HEAD', '/users'), 200)
    expectStatus(await call(as('stranger'), 'HEAD', '/users'), 403)
  })

  test('is given before the body where the caller is not let in', async () => {
    for (const [who, status] of [
      ['', 401],
      [`Authorization: ${as('stranger').headers?.['Authorization']}\r\n`, 403],
    ] as const) {
      using connection = await RawConnection.open(server.port)
      connection.write(
        `POST /api/v1/users HTTP/1.1\r\nHost: a\r\n${who}Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n`,
      )
      await connection.until(new RegExp(`^HTTP/1.1 ${status}`))
    }
  })

  test('to a client that guesses passwords comes later and later', async () => {
    expectStatus(await call(admin(), 'POST', '/users', { name: 'guessed', password: PASSWORD }), 201)
    for (let n = 0; n < 5; n++) expectStatus(await call(as('guessed', 'wrong'), 'GET', '/me'), 401)
    const answer = await call(as('guessed'), 'GET', '/me')
    expectStatus(answer, 429)
    assert.match(String(answer.headers['retry-after']), /^\d+$/)
    assert.equal(answer.headers['content-type'], 'application/problem+json')
  })

  test('a body that is too large, no JSON, or of another type is refused (zot #3977)', async () => {
    const raw = (body: string, type = 'application/json') =>
      send(admin(), 'POST', '/api/v1/users', { headers: { 'Content-Type': type }, body })
    expectStatus(await raw(`{"name":"${'x'.repeat(70_000)}"}`), 413)
    expectStatus(await raw('{"name":'), 400)
    expectStatus(await raw('<user/>', 'text/xml'), 415)
    expectStatus(await raw('{"__proto__":{"x":1},"name":"p"}'), 400)
  })

  test('what a page of another site can make a browser send changes nothing (CVE-2019-19025)', async () => {
    const path = '/projects/other/robots'
    expectStatus(await call(admin(), 'POST', path, { name: 'ci', permissions: [] }), 201)
    const before = json(await call(admin(), 'GET', path))
    const forms = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']
    for (const type of forms)
      for (const body of ['', '{}']) {
        const headers = { 'Content-Type': type }
        const answer = await send(admin(), 'POST', `/api/v1${path}/other+ci/secret`, { headers, body })
        expectStatus(answer, 415)
      }
    expectStatus(await call(admin(), 'POST', `${path}/other+ci/secret`), 415)
    assert.deepEqual(json(await call(admin(), 'GET', path)), before)
  })
})

test('the document describes every route, with who may use it', async () => {
  const document = json(await send(admin(), 'GET', '/api/v1/openapi.json')) as {
    openapi: string
    paths: Record<string, Record<string, { operationId: string; description: string }>>
  }
  assert.equal(document.openapi, '3.1.0')
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  assert.equal(operations.length, API_ROUTES.length)
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
  assert.match(document.paths['/users']?.['post']?.description ?? '', /For admins/)
})
