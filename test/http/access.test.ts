// `auth: stowage`: who gets in, what he is refused, and what a refusal tells.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { hashPassword } from '#access/passwords/passwords.ts'
import { newSecret } from '#access/secrets.ts'
import { insertApiKey } from '#db/api-keys.ts'
import { deleteProject, findProject, insertProject, setUserRole } from '#db/projects.ts'
import { insertRobot } from '#db/robots.ts'
import { findUser, insertUser, updateUser } from '#db/users.ts'
import type { Role, Visibility } from '#identity/role.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import {
  type Answer,
  begin,
  collect,
  errorOf,
  json,
  locationOf,
  refusalOf,
  responseTo,
  send,
  type Target,
} from './client.ts'
import {
  contentOf,
  expectStatus,
  type Image,
  makeImage,
  openSession,
  pushBlob,
  pushImage,
  putManifest,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const ADMIN = { adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' } }
const NOW = 1_700_000_000_000

let server: TestServer
let secretImage: Image

const basic = (user: string, password = PASSWORD) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** The server as somebody sees it who sends his password with every request. */
const as = (user: string, password = PASSWORD): Target => ({
  port: server.port,
  headers: { Authorization: basic(user, password) },
})

const withToken = (token: string): Target => ({
  port: server.port,
  headers: { Authorization: `Bearer ${token}` },
})

const anyone = (): Target => ({ port: server.port })

async function tokenFor(target: Target, query: string): Promise<string> {
  const answer = await send(target, 'GET', `/token?service=stowage&${query}`)
  expectStatus(answer, 200)
  return (json(answer) as { token: string }).token
}

async function user(name: string, passwordHash: string, systemRole: 'admin' | 'auditor' | null = null) {
  await server.app.registry.db.transaction((tx) =>
    insertUser(tx, { name, passwordHash, systemRole, now: NOW }),
  )
}

async function project(name: string, visibility: Visibility, members: Record<string, Role> = {}) {
  const { db } = server.app.registry
  await db.transaction((tx) => insertProject(tx, { name, visibility, now: NOW }))
  const projectId = (await findProject(db, name))?.id ?? 0
  for (const [member, role] of Object.entries(members)) {
    const userId = (await findUser(db, member))?.id ?? 0
    await db.transaction((tx) => setUserRole(tx, { projectId, userId, role }))
  }
  return projectId
}

before(async () => {
  server = await startServer(ADMIN)
  const hash = await hashPassword(PASSWORD)
  for (const name of ['dev', 'guest', 'maintainer', 'stranger']) await user(name, hash)
  await user('auditor', hash, 'auditor')
  await project('secret', 'private', { dev: 'developer', guest: 'guest', maintainer: 'maintainer' })
  await project('staff', 'authenticated')
  await project('open', 'public', { dev: 'developer' })
  secretImage = makeImage()
  await pushImage(as('admin'), 'secret/app', '1', secretImage)
  await pushImage(as('admin'), 'staff/app', '1', makeImage())
  await pushImage(as('admin'), 'open/app', '1', makeImage())
})
after(() => server[Symbol.asyncDispose]())

describe('the version check', () => {
  test('is 401 with one Bearer challenge without credentials, also where pulling is free', async () => {
    const answer = await send(anyone(), 'GET', '/v2/')
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    assert.equal(
      answer.headers['www-authenticate'],
      `Bearer realm="http://127.0.0.1:${server.port}/token",service="stowage"`,
    )
  })

  test('takes a password, a token of anybody, and no wrong password', async () => {
    expectStatus(await send(as('dev'), 'GET', '/v2/'), 200)
    expectStatus(await send(withToken(await tokenFor(anyone(), '')), 'GET', '/v2/'), 200)
    const wrong = await send(as('dev', 'wrong password'), 'GET', '/v2/')
    assert.equal(refusalOf(wrong), '401 UNAUTHORIZED')
    assert.match(String(wrong.headers['www-authenticate']), /^Bearer /)
    assert.equal(refusalOf(await send(as('nobody'), 'GET', '/v2/')), '401 UNAUTHORIZED')
  })
})

describe('a refusal', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  const questions = (name: string): [string, string][] => [
    ['GET', `/v2/${name}/manifests/1`],
    ['HEAD', `/v2/${name}/manifests/1`],
    ['GET', `/v2/${name}/blobs/${digest}`],
    ['GET', `/v2/${name}/tags/list`],
    ['GET', `/v2/${name}/referrers/${digest}`],
    ['POST', `/v2/${name}/blobs/uploads/`],
    ['PUT', `/v2/${name}/manifests/1`],
    ['DELETE', `/v2/${name}/manifests/1`],
    ['GET', `/v2/${name}/blobs/uploads/some-id`],
  ]
  const told = (answer: Answer) =>
    answer.status === 403 ? answer.body.toString().replaceAll(/secret\/\w+/g, 'NAME') : answer.status

  test('of a stranger is 403, word for word the same for what exists and what does not', async () => {
    const token = await tokenFor(as('stranger'), 'scope=repository:secret/app:pull,push,delete')
    for (const target of [as('stranger'), withToken(token)]) {
      for (const [index, [method, path]] of questions('secret/app').entries()) {
        const there = await send(target, method, path)
        const missing = await send(target, method, questions('secret/none')[index]?.[1] ?? '')
        assert.equal(there.status, 403, `${method} ${path}`)
        assert.equal(told(there), told(missing), `${method} ${path}`)
        if (method !== 'HEAD') assert.equal(errorOf(there).code, 'DENIED')
      }
    }
  })

  test('of nobody is 401 with the scope that would do, and an anonymous token does not (CVE-2026-27771)', async () => {
    for (const [method, path] of questions('secret/app')) {
      const answer = await send(anyone(), method, path)
      assert.equal(answer.status, 401, `${method} ${path}`)
      assert.match(String(answer.headers['www-authenticate']), /scope="repository:secret\/app:[a-z,]+"/)
    }
    const token = await tokenFor(anyone(), 'scope=repository:secret/app:pull')
    const answer = await send(withToken(token), 'GET', '/v2/secret/app/manifests/1')
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    expectStatus(await send(anyone(), 'GET', '/v2/open/app/manifests/1'), 401)
    const open = await tokenFor(anyone(), 'scope=repository:open/app:pull,push')
    expectStatus(await send(withToken(open), 'GET', '/v2/open/app/manifests/1'), 200)
    expectStatus(await send(withToken(open), 'POST', '/v2/open/app/blobs/uploads/'), 401)
  })

  test('of a token that could have asked for more is 401 insufficient_scope', async () => {
    const token = await tokenFor(as('dev'), 'scope=repository:secret/app:pull')
    const answer = await send(withToken(token), 'POST', '/v2/secret/app/blobs/uploads/')
    assert.equal(answer.status, 401)
    assert.match(
      String(answer.headers['www-authenticate']),
      /scope="repository:secret\/app:pull,push",error="insufficient_scope"/,
    )
    const denied = await send(withToken(token), 'DELETE', '/v2/secret/app/manifests/1')
    assert.equal(refusalOf(denied), '403 DENIED')
  })

  test('within what may be read, what is missing is 404', async () => {
    expectStatus(await send(as('guest'), 'GET', '/v2/secret/app/manifests/none'), 404)
    assert.equal(refusalOf(await send(as('guest'), 'GET', '/v2/secret/none/tags/list')), '404 NAME_UNKNOWN')
    expectStatus(await send(as('stranger'), 'GET', '/v2/staff/app/manifests/1'), 200)
  })

  test('roles end where they should', async () => {
    expectStatus(await send(as('guest'), 'POST', '/v2/secret/app/blobs/uploads/'), 403)
    expectStatus(await send(as('dev'), 'DELETE', '/v2/secret/app/manifests/1'), 403)
    const image = makeImage()
    await pushImage(as('dev'), 'secret/app', 'mine', image)
    expectStatus(await send(as('maintainer'), 'DELETE', '/v2/secret/app/manifests/mine'), 202)
    expectStatus(await send(as('auditor'), 'GET', '/v2/secret/app/manifests/1'), 200)
    expectStatus(await send(as('auditor'), 'POST', '/v2/secret/app/blobs/uploads/'), 403)
  })
})

describe('what is seen', () => {
  const catalog = async (target: Target) => {
    const answer = await send(target, 'GET', '/v2/_catalog')
    expectStatus(answer, 200)
    return (json(answer) as { repositories: string[] }).repositories
  }

  test('in the catalog is what may be pulled, page by page (CVE-2020-29662)', async () => {
    expectStatus(await send(anyone(), 'GET', '/v2/_catalog'), 401)
    const anonymous = await tokenFor(anyone(), 'scope=registry:catalog:*')
    assert.deepEqual(await catalog(withToken(anonymous)), ['open/app'])
    assert.deepEqual(await catalog(as('stranger')), ['open/app', 'staff/app'])
    assert.deepEqual(await catalog(as('guest')), ['open/app', 'secret/app', 'staff/app'])
    assert.deepEqual(await catalog(as('admin')), ['open/app', 'secret/app', 'staff/app'])
    const first = await send(as('stranger'), 'GET', '/v2/_catalog?n=1')
    assert.deepEqual(json(first), { repositories: ['open/app'] })
    const next = /<([^>]+)>/.exec(String(first.headers['link']))?.[1] ?? ''
    assert.deepEqual(json(await send(as('stranger'), 'GET', next)), { repositories: ['staff/app'] })
  })

  test('a mount takes nothing from where one may not pull, and says nothing (CVE-2024-39897, CVE-2026-117685)', async () => {
    await project('mine', 'private', { stranger: 'developer' })
    const { digest } = secretImage.layers[0] ?? contentOf('')
    for (const query of [`mount=${digest}&from=secret/app`, `mount=${digest}`]) {
      const path = `/v2/mine/app/blobs/uploads/?${query}`
      expectStatus(await send(as('stranger'), 'POST', path), 202)
      const token = await tokenFor(as('stranger'), 'scope=repository:mine/app:pull,push')
      expectStatus(await send(withToken(token), 'POST', path), 202)
    }
    expectStatus(await send(as('stranger'), 'HEAD', `/v2/mine/app/blobs/${digest}`), 404)
    await project('other', 'private', { dev: 'developer' })
    const token = await tokenFor(as('dev'), 'scope=repository:other/app:pull,push')
    for (const query of [`mount=${digest}&from=secret/app`, `mount=${digest}`]) {
      expectStatus(await send(withToken(token), 'POST', `/v2/other/app/blobs/uploads/?${query}`), 201)
    }
  })

  test('an upload session belongs to who opened it (CVE-2026-32589)', async () => {
    const location = await openSession(as('dev'), 'secret/app')
    for (const method of ['GET', 'DELETE'])
      assert.equal(refusalOf(await send(as('maintainer'), method, location)), '404 BLOB_UPLOAD_UNKNOWN')
    expectStatus(await send(as('dev'), 'GET', location), 204)
    expectStatus(await send(as('dev'), 'DELETE', location), 204)
  })
})

describe('projects', () => {
  test('come into being with the first push of an admin, and of nobody else', async () => {
    expectStatus(await send(as('dev'), 'POST', '/v2/brand-new/app/blobs/uploads/'), 403)
    assert.equal(await findProject(server.app.registry.db, 'brand-new'), undefined)
    await pushBlob(as('admin'), 'brand-new/app', contentOf('x'))
    assert.equal((await findProject(server.app.registry.db, 'brand-new'))?.visibility, 'private')
  })
})

describe('accounts for machines', () => {
  before(async () => {
    const hash = await hashPassword(PASSWORD)
    await user('owner', hash)
    await project('ci', 'private', { owner: 'owner' })
    await pushImage(as('admin'), 'ci/app', '1', makeImage())
  })

  test('a robot pushes with its secret and with a token, and nowhere else', async () => {
    const { db } = server.app.registry
    const secret = newSecret('robot')
    const projectId = (await findProject(db, 'ci'))?.id ?? null
    await db.transaction((tx) =>
      insertRobot(tx, {
        name: 'ci+build',
        projectId,
        secretHash: secret.hash,
        permissions: JSON.stringify([{ repository: 'ci/*', rights: ['pull', 'push'] }]),
        expiresAt: null,
        now: NOW,
      }),
    )
    const robot = as('ci+build', secret.text)
    await pushImage(robot, 'ci/made', '1', makeImage())
    const token = await tokenFor(robot, 'scope=repository:ci/made:pull')
    expectStatus(await send(withToken(token), 'GET', '/v2/ci/made/manifests/1'), 200)
    expectStatus(await send(robot, 'POST', '/v2/other/app/blobs/uploads/'), 403)
    expectStatus(await send(as('ci+build', `${secret.text}x`), 'GET', '/v2/'), 401)
  })

  test('a narrowed API key stays narrow in its tokens, lists and refresh tokens (CVE-2025-68944)', async () => {
    const { db } = server.app.registry
    const secret = newSecret('key')
    const userId = (await findUser(db, 'owner'))?.id ?? 0
    await db.transaction((tx) =>
      insertApiKey(tx, {
        userId,
        name: 'read',
        secretHash: secret.hash,
        permissions: JSON.stringify([{ repository: 'ci/app', rights: ['pull'] }]),
        expiresAt: null,
        now: NOW,
      }),
    )
    const key = as('owner', secret.text)
    const asked =
      'scope=repository:ci/app:pull,push,delete&scope=repository:ci/made:pull&scope=registry:catalog:*'
    const offline = await send(key, 'GET', `/token?${asked}&offline_token=true&client_id=test`)
    const { token, refresh_token: refresh = '' } = json(offline) as { token: string; refresh_token?: string }
    const form = {
      grant_type: 'refresh_token',
      refresh_token: refresh,
      client_id: 'test',
      scope: 'repository:ci/app:pull,push',
    }
    const renewed = json(await post(form)) as { access_token: string; scope: string }
    assert.equal(renewed.scope, 'repository:ci/app:pull')
    for (const target of [key, withToken(token), withToken(renewed.access_token)]) {
      expectStatus(await send(target, 'GET', '/v2/ci/app/manifests/1'), 200)
      expectStatus(await send(target, 'POST', '/v2/ci/app/blobs/uploads/'), 403)
      expectStatus(await send(target, 'GET', '/v2/ci/made/manifests/1'), 403)
    }
    assert.deepEqual(json(await send(withToken(token), 'GET', '/v2/_catalog')), {
      repositories: ['ci/app', 'open/app'],
    })
  })
})

async function post(form: Record<string, string>, target: Target = anyone()): Promise<Answer> {
  return send(target, 'POST', '/token', {
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  })
}

describe('the token endpoint', () => {
  test('gives the intersection of what is asked and what is allowed, for itself as audience only (CVE-2026-123710)', async () => {
    const answer = await send(
      as('owner'),
      'GET',
      '/token?service=evil&scope=repository:ci/app:pull,push,destroy%20repository:other/x:pull',
    )
    expectStatus(answer, 200)
    const body = json(answer) as {
      token: string
      access_token: string
      expires_in: number
      issued_at: string
    }
    assert.equal(body.token, body.access_token)
    assert.equal(body.expires_in, 300)
    assert.match(body.issued_at, /^\d{4}-\d\d-\d\dT/)
    const claims = JSON.parse(Buffer.from(body.token.split('.')[1] ?? '', 'base64url').toString())
    assert.deepEqual(claims.access, [{ type: 'repository', name: 'ci/app', actions: ['pull', 'push'] }])
    assert.equal(claims.aud, 'stowage')
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal('refresh_token' in body, false)
  })

  test('takes a password by form, and says what it granted', async () => {
    const password = {
      grant_type: 'password',
      client_id: 'docker',
      service: 'x',
      username: 'owner',
      password: PASSWORD,
    }
    const scope = 'repository:ci/app:pull repository:other/app:pull'
    const answer = await post({ ...password, scope, access_type: 'offline' })
    expectStatus(answer, 200)
    const body = json(answer) as { scope: string; refresh_token: string }
    assert.equal(body.scope, 'repository:ci/app:pull')
    expectStatus(await post({ ...password, password: 'wrong password' }), 401)
    expectStatus(await post({ ...password, username: 'nobody' }), 401)
    for (const missing of ['client_id', 'username', 'grant_type'] as const)
      expectStatus(await post({ ...password, [missing]: '' }), 400)
  })

  test('a refresh token ends with the account, at once', async () => {
    const hash = await hashPassword(PASSWORD)
    await user('leaver', hash)
    const offline = await send(as('leaver'), 'GET', '/token?offline_token=true&client_id=docker')
    const { refresh_token: refresh = '' } = json(offline) as { refresh_token?: string }
    const form = { grant_type: 'refresh_token', client_id: 'docker', refresh_token: refresh }
    expectStatus(await post(form), 200)
    const { db } = server.app.registry
    await db.transaction((tx) => updateUser(tx, 'leaver', { disabledAt: Date.now() }, { now: NOW }))
    expectStatus(await post(form), 401)
    expectStatus(await send(as('leaver'), 'GET', '/v2/'), 401)
    expectStatus(await post({ ...form, refresh_token: 'stw_t_invented' }), 401)
  })

  test('anonymous callers get no refresh token', async () => {
    const answer = await send(anyone(), 'GET', '/token?offline_token=true&client_id=docker')
    assert.equal('refresh_token' in (json(answer) as object), false)
  })

  test('a form that is too large, or no form, is refused', async () => {
    expectStatus(await post({ grant_type: 'password', password: 'x'.repeat(20_000) }), 413)
    const body = '{"grant_type":"password"}'
    const headers = { 'Content-Type': 'application/json' }
    expectStatus(await send(anyone(), 'POST', '/token', { headers, body }), 415)
  })

  test('a client that waits for leave to send its form gets it', async () => {
    const form = new URLSearchParams({
      grant_type: 'password',
      client_id: 'c',
      username: 'dev',
      password: PASSWORD,
    })
    const headers = {
      Expect: '100-continue',
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': String(form.toString().length),
    }
    const request = begin(anyone(), 'POST', '/token', { headers })
    request.on('continue', () => request.end(form.toString()))
    request.flushHeaders()
    expectStatus(await collect(await responseTo(request)), 200)
  })

  test('a form that does not come is cut', async () => {
    await using hasty = await startServer({
      ...ADMIN,
      env: { ...ADMIN.env, REGISTRY_HTTP_LIMITS_HEADERTIMEOUT: '200ms' },
    })
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': '100' }
    for (const path of ['/token', '/api/v1/users']) {
      const request = begin(hasty, 'POST', path, { headers: { ...headers, Authorization: basic('admin') } })
      request.write('grant_type=')
      await new Promise<void>((resolve) => request.on('close', () => resolve()))
    }
    expectStatus(await send(hasty, 'GET', '/token'), 200)
  })

  test('the most that can be asked for gives a token that is read, and the reply says what is in it', async () => {
    const scope = Array.from({ length: 100 }, (_, n) => `repository:${'a/'.repeat(29)}${n}:*`).join(' ')
    const form = { grant_type: 'password', client_id: 'c', username: 'admin', password: PASSWORD, scope }
    const body = json(await post(form)) as { access_token: string; scope: string }
    expectStatus(await send(withToken(body.access_token), 'GET', '/v2/'), 200)
    assert.ok(body.scope.split(' ').length > 50)
    const last = body.scope.split(' ').at(-1)?.split(':')[1]
    assert.equal(
      refusalOf(await send(withToken(body.access_token), 'GET', `/v2/${last}/tags/list`)),
      '404 NAME_UNKNOWN',
    )
  })

  test('who fails too often has to wait, and a known user waits as an unknown one (CVE-2020-13794, CVE-2023-20902)', async () => {
    await user('forgetful', await hashPassword(PASSWORD))
    for (const name of ['forgetful', 'no-such-user']) {
      const statuses: number[] = []
      for (let count = 0; count < 7; count++)
        statuses.push((await send(as(name, `wrong ${count} password`), 'GET', '/token')).status)
      assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429], name)
    }
  })

  test('whatever is sent, it answers without a fault of its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom('grant_type', 'client_id', 'scope', 'refresh_token', 'service', 'access_type'),
          fc.oneof(
            fc.string({ maxLength: 60 }),
            fc.constantFrom('refresh_token', 'repository:a/b:pull,push'),
          ),
        ),
        async (form) => {
          const query = new URLSearchParams(form).toString()
          for (const answer of [await post(form), await send(anyone(), 'GET', `/token?${query}`)])
            assert.ok(answer.status < 500, `${answer.status}: ${answer.body}`)
        },
      ),
      { numRuns: 60 },
    )
  })
})

test('a token outlives a restart, and the session that it opened goes on', async () => {
  await using disk = await startServer({ ...ADMIN, onDisk: true })
  const admin: Target = { port: disk.port, headers: { Authorization: basic('admin') } }
  const answer = await send(admin, 'GET', '/token?scope=repository:team/app:pull,push')
  const { token } = json(answer) as { token: string }
  const image = makeImage()
  const first: Target = { port: disk.port, headers: { Authorization: `Bearer ${token}` } }
  for (const content of [image.config, ...image.layers]) await pushBlob(first, 'team/app', content)
  const location = locationOf(await send(first, 'POST', '/v2/team/app/blobs/uploads/'))
  await disk.restart()
  const later: Target = { port: disk.port, headers: { Authorization: `Bearer ${token}` } }
  expectStatus(await putManifest(later, 'team/app', '1', image.manifest.bytes, OCI_MANIFEST), 201)
  expectStatus(await send(later, 'GET', location), 204)
})

test('a token from before a project was deleted is not for a later one of its name (Harbor #22900)', async () => {
  await using disk = await startServer({ ...ADMIN, onDisk: true })
  const admin: Target = { port: disk.port, headers: { Authorization: basic('admin') } }
  const ask = async () => {
    const answer = await send(admin, 'GET', '/token?scope=repository:reborn/app:pull,push')
    return (json(answer) as { token: string }).token
  }
  const openWith = (token: string) =>
    send(
      { port: disk.port, headers: { Authorization: `Bearer ${token}` } },
      'POST',
      '/v2/reborn/app/blobs/uploads/',
    )
  // For a name that does not exist yet: good once the push has made the project.
  const early = await ask()
  expectStatus(await openWith(early), 202)
  expectStatus(await openWith(early), 202)
  const { db } = disk.app.registry
  await db.transaction((tx) => deleteProject(tx, 'reborn', Date.now() + 1_000))
  await db.transaction((tx) => insertProject(tx, { name: 'reborn', visibility: 'private', now: NOW }))
  await disk.restart()
  const answer = await openWith(early)
  assert.equal(answer.status, 401)
  assert.match(String(answer.headers['www-authenticate']), /error="invalid_token"/)
})

test('repositories from before there were users are there for the admin, and for nobody else', async () => {
  await using disk = await startServer({ onDisk: true })
  await pushImage(disk, 'old/app', '1', makeImage())
  await pushImage(disk, 'plain', '1', makeImage())
  await disk.stop()
  await using secured = await startServer({ ...ADMIN, onDisk: true, folder: disk.folder })
  assert.equal(refusalOf(await send(secured, 'GET', '/v2/old/app/manifests/1')), '401 UNAUTHORIZED')
  const admin: Target = { port: secured.port, headers: { Authorization: basic('admin') } }
  expectStatus(await send(admin, 'GET', '/v2/old/app/manifests/1'), 200)
  expectStatus(await send(admin, 'GET', '/v2/plain/manifests/1'), 200)
  const said = secured.log.lines.find(({ msg }) => msg.includes('put into private ones'))
  assert.deepEqual(said?.fields['projects'], ['library', 'old'])
})
