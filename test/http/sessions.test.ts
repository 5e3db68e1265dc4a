// Sessions of browsers: cookies, what a page of another site cannot do with them, and how they end.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hashPassword } from '#access/passwords/passwords.ts'
import { insertUser } from '#db/users.ts'
import { type Answer, json, send } from './client.ts'
import { expectStatus } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
let server: TestServer

before(async () => {
  server = await startServer({
    adminPassword: PASSWORD,
    env: { REGISTRY_AUTH: 'stowage' },
  })
})
after(() => server[Symbol.asyncDispose]())

interface Session {
  readonly cookie: string
  readonly csrf: string
}

function logIn(name = 'admin', password = PASSWORD, headers: Record<string, string> = {}): Promise<Answer> {
  return send({ port: server.port }, 'POST', '/auth/login', {
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ name, password }),
  })
}

function cookieOf(answer: Answer): string {
  const [cookie = ''] = answer.headers['set-cookie'] ?? []
  return cookie.split(';', 1)[0] ?? ''
}

async function session(name = 'admin'): Promise<Session> {
  const answer = await logIn(name)
  expectStatus(answer, 200)
  return { cookie: cookieOf(answer), csrf: (json(answer) as { csrfToken: string }).csrfToken }
}

function call(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Answer> {
  return send({ port: server.port }, method, path, {
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
}

async function makeUser(name: string): Promise<void> {
  const passwordHash = await hashPassword(PASSWORD)
  await server.app.registry.db.transaction((tx) => insertUser(tx, { name, passwordHash, now: Date.now() }))
}

describe('a session', () => {
  test('begins with a password, says who it is, serves the API, and ends', async () => {
    const answer = await logIn()
    expectStatus(answer, 200)
    const [set = ''] = answer.headers['set-cookie'] ?? []
    assert.match(set, /^stowage=stw_s_[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
    const { csrfToken, name } = json(answer) as { csrfToken: string; name: string }
    assert.equal(name, 'admin')
    const cookie = cookieOf(answer)
    const shown = await call('GET', '/auth/session', { Cookie: `other=1; ${cookie}` })
    assert.equal((json(shown) as { csrfToken: string }).csrfToken, csrfToken)
    expectStatus(await call('GET', '/api/v1/users', { Cookie: cookie }), 200)
    const headers = { Cookie: cookie, 'X-CSRF-Token': csrfToken }
    expectStatus(await call('POST', '/api/v1/groups', headers, { name: 'made-by-session' }), 201)
    const out = await call('POST', '/auth/logout', headers)
    expectStatus(out, 204)
    assert.match(String(out.headers['set-cookie']), /^stowage=; Path=\/; Max-Age=0;/)
    expectStatus(await call('GET', '/api/v1/users', { Cookie: cookie }), 401)
  })

  test('has a cookie that no other host can set, where TLS leads to us', async () => {
    const answer = await logIn('admin', PASSWORD, { 'X-Forwarded-Proto': 'https' })
    const [set = ''] = answer.headers['set-cookie'] ?? []
    assert.match(set, /^__Host-stowage=stw_s_[\w-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/)
    const cookie = cookieOf(answer)
    const secure = { 'X-Forwarded-Proto': 'https' }
    expectStatus(await call('GET', '/auth/session', { Cookie: cookie, ...secure }), 200)
    // What came in the clear could have been set by anybody on the way.
    const plain = cookie.replace('__Host-', '')
    expectStatus(await call('GET', '/auth/session', { Cookie: plain, ...secure }), 401)
  })

  test('is another one after each login, and the one before ends', async () => {
    const first = await session()
    const again = await logIn('admin', PASSWORD, { Cookie: first.cookie })
    assert.notEqual(cookieOf(again), first.cookie)
    expectStatus(await call('GET', '/auth/session', { Cookie: first.cookie }), 401)
    // A cookie that somebody else chose is never taken over (session fixation).
    const chosen = `stowage=stw_s_${'A'.repeat(43)}`
    assert.notEqual(cookieOf(await logIn('admin', PASSWORD, { Cookie: chosen })), chosen)
    expectStatus(await call('GET', '/auth/session', { Cookie: chosen }), 401)
  })

  test('that stands twice in a request counts for nothing', async () => {
    const { cookie } = await session()
    const other = await session()
    expectStatus(await call('GET', '/auth/session', { Cookie: `${cookie}; ${other.cookie}` }), 401)
  })

  test('ends when the password changes, when the user is disabled, and when somebody ends it', async () => {
    await makeUser('ann')
    const { cookie: mine, csrf } = await session('ann')
    const admin = await session()
    const asAdmin = { Cookie: admin.cookie, 'X-CSRF-Token': admin.csrf }
    const alive = async (cookie: string) => (await call('GET', '/auth/session', { Cookie: cookie })).status
    const change = { current: PASSWORD, password: 'another good one' }
    expectStatus(
      await call('PUT', '/api/v1/me/password', { Cookie: mine, 'X-CSRF-Token': csrf }, change),
      204,
    )
    assert.equal(await alive(mine), 401)
    const second = cookieOf(await logIn('ann', 'another good one'))
    expectStatus(await call('PATCH', '/api/v1/users/ann', asAdmin, { disabled: true }), 200)
    assert.equal(await alive(second), 401)
    expectStatus(await call('PATCH', '/api/v1/users/ann', asAdmin, { disabled: false }), 200)
    assert.equal(await alive(second), 401)
    const third = await logIn('ann', 'another good one')
    const listed = json(await call('GET', '/api/v1/users/ann/sessions', asAdmin)) as { items: object[] }
    assert.equal(listed.items.length, 1)
    assert.doesNotMatch(JSON.stringify(listed), /stw_s_|hash/)
    expectStatus(await call('DELETE', '/api/v1/users/ann/sessions', asAdmin), 204)
    assert.equal(await alive(cookieOf(third)), 401)
    const fourth = await logIn('ann', 'another good one')
    const own = {
      Cookie: cookieOf(fourth),
      'X-CSRF-Token': (json(fourth) as { csrfToken: string }).csrfToken,
    }
    const { items } = json(await call('GET', '/api/v1/me/sessions', own)) as { items: { id: number }[] }
    expectStatus(await call('DELETE', `/api/v1/me/sessions/${items[0]?.id}`, asAdmin), 404)
    expectStatus(await call('DELETE', `/api/v1/me/sessions/${items[0]?.id}`, own), 204)
    assert.equal(await alive(own.Cookie), 401)
  })
})

for (const [what, key, ms] of [
  ['nobody used for its idle time', 'IDLE', 300],
  ['is as old as it may be', 'LIFE', 300],
] as const)
  test(`a session that ${what} is over`, async () => {
    await using other = await startServer({
      adminPassword: PASSWORD,
      env: { REGISTRY_AUTH: 'stowage', [`REGISTRY_AUTH_STOWAGE_SESSIONS_${key}`]: `${ms}ms` },
    })
    const body = JSON.stringify({ name: 'admin', password: PASSWORD })
    const headers = { 'Content-Type': 'application/json' }
    const answer = await send({ port: other.port }, 'POST', '/auth/login', { headers, body })
    expectStatus(answer, 200)
    await new Promise((resolve) => setTimeout(resolve, ms + 50))
    const Cookie = cookieOf(answer)
    expectStatus(await send({ port: other.port }, 'GET', '/auth/session', { headers: { Cookie } }), 401)
    expectStatus(await send({ port: other.port }, 'GET', '/api/v1/me', { headers: { Cookie } }), 401)
  })

describe('CVE-2019-19025: a page of another site', () => {
  test('cannot change anything with a cookie alone', async () => {
    const { cookie, csrf } = await session()
    const body = { name: 'forged' }
    for (const headers of [
      { Cookie: cookie },
      { Cookie: cookie, 'X-CSRF-Token': '' },
      { Cookie: cookie, 'X-CSRF-Token': `${csrf}x` },
      { Cookie: cookie, 'X-CSRF-Token': csrf, Origin: 'https://evil.example' },
      { Cookie: cookie, 'X-CSRF-Token': csrf, Origin: 'null' },
      { Cookie: cookie, 'X-CSRF-Token': csrf, 'Sec-Fetch-Site': 'cross-site' },
      { Cookie: cookie, 'X-CSRF-Token': csrf, 'Sec-Fetch-Site': 'same-site' },
    ])
      expectStatus(await call('POST', '/api/v1/groups', headers, body), 403)
    const own = {
      Cookie: cookie,
      'X-CSRF-Token': csrf,
      Origin: `http://${server.host}`,
      'Sec-Fetch-Site': 'same-origin',
    }
    expectStatus(await call('POST', '/api/v1/groups', own, body), 201)
  })

  test('cannot log somebody in, or out', async () => {
    expectStatus(await logIn('admin', PASSWORD, { Origin: 'https://evil.example' }), 403)
    expectStatus(await logIn('admin', PASSWORD, { 'Sec-Fetch-Site': 'cross-site' }), 403)
    const form = await send({ port: server.port }, 'POST', '/auth/login', {
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: `name=admin&password=${encodeURIComponent(PASSWORD)}`,
    })
    expectStatus(form, 415)
    const { cookie } = await session()
    expectStatus(await call('POST', '/auth/logout', { Cookie: cookie }), 403)
    expectStatus(await call('GET', '/auth/session', { Cookie: cookie }), 200)
  })

  test('learns nothing: no reply allows another origin to read it', async () => {
    const { cookie } = await session()
    const headers = { Cookie: cookie, Origin: 'https://evil.example' }
    for (const path of ['/auth/session', '/api/v1/me', '/token', '/v2/', '/', '/healthz', '/nowhere']) {
      for (const method of ['GET', 'OPTIONS']) {
        const answer = await call(method, path, { ...headers, 'Access-Control-Request-Method': 'POST' })
        const cors = Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))
        assert.deepEqual(cors, [], `${method} ${path}`)
      }
    }
  })
})

test('every reply outside the protocol carries the strict set of headers', async () => {
  for (const path of [
    '/auth/session',
    '/auth/none',
    '/api/v1/me',
    '/api/v1/none',
    '/token',
    '/',
    '/healthz',
    '/nowhere',
  ]) {
    const { headers } = await call('GET', path, {})
    assert.match(
      String(headers['content-security-policy']),
      /default-src 'none';.*frame-ancestors 'none'/,
      path,
    )
    assert.equal(headers['x-content-type-options'], 'nosniff', path)
    assert.equal(headers['x-frame-options'], 'DENY', path)
    assert.equal(headers['referrer-policy'], 'no-referrer', path)
  }
})

test('a wrong password, a key and a robot make no session, and a body has a limit', async () => {
  const wrong = await logIn('admin', 'wrong')
  expectStatus(wrong, 401)
  assert.match(String(wrong.headers['www-authenticate']), /^Session /)
  expectStatus(await logIn('nobody', 'wrong'), 401)
  const { cookie, csrf } = await session()
  const made = await call('POST', '/api/v1/me/keys', { Cookie: cookie, 'X-CSRF-Token': csrf }, { name: 'k' })
  expectStatus(await logIn('admin', (json(made) as { secret: string }).secret), 401)
  expectStatus(await logIn('a'.repeat(20_000)), 413)
})

test('a password in a header counts, whatever cookie comes along', async () => {
  const basic = { Authorization: `Basic ${Buffer.from('admin:wrong').toString('base64')}` }
  const { cookie } = await session()
  expectStatus(await call('GET', '/api/v1/me', { Cookie: cookie, ...basic }), 401)
})
