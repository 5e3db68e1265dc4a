// People of an OpenID provider: a real one, walked through without a browser.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { findGroup, groupMemberPage, insertGroup } from '#db/groups.ts'
import { findProject, insertProject, setGroupRole } from '#db/projects.ts'
import { findUser, insertUser } from '#db/users.ts'
import { freePort } from '../processes/free-port.ts'
import { Browser, type Page } from './browser.ts'
import { type Answer, json, send } from './client.ts'
import { expectStatus } from './content.ts'
import { CLIENT_ID, CLIENT_SECRET, startProvider, type TestProvider } from './oidc-provider.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
let provider: TestProvider
let server: TestServer
let base: string

interface Setup {
  readonly keys?: Readonly<Record<string, unknown>>
  readonly provider?: Parameters<typeof startProvider>[1]
}

async function start({ keys = {}, provider: options = {} }: Setup = {}): Promise<void> {
  const port = await freePort()
  base = `http://127.0.0.1:${port}`
  provider = await startProvider([`${base}/auth/oidc/callback`], options)
  const oidc = {
    name: 'corp',
    issuer: provider.issuer,
    clientid: CLIENT_ID,
    clientsecret: CLIENT_SECRET,
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    parameters: { prompt: 'consent' },
    recheck: '0s',
    admingroups: ['Registry Admins'],
    groups: { 'Dev Team': 'devs' },
    ...keys,
  }
  server = await startServer({
    adminPassword: PASSWORD,
    env: {
      REGISTRY_AUTH: 'stowage',
      REGISTRY_HTTP_ADDR: `127.0.0.1:${port}`,
      REGISTRY_AUTH_STOWAGE_OIDC: JSON.stringify([oidc]),
      REGISTRY_OUTBOUND_ALLOW: '[127.0.0.1]',
    },
  })
  provider.people.set('s-1', { name: 'Ann', email: 'ann@example.com', groups: ['Dev Team', 'ops', 'nobody'] })
}

async function stop(): Promise<void> {
  await server[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
}

/** Through the pages of the provider, to where the login ends. */
async function logIn(subject: string, browser = new Browser(), query = ''): Promise<Page> {
  const login = await browser.open(`${base}/auth/oidc/login?provider=corp${query}`)
  const consent = login.body.includes('name="login"')
    ? await browser.submit(login, { login: subject, password: 'any' })
    : login
  return browser.submit(consent)
}

interface Shown {
  readonly name: string
  readonly csrfToken: string
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

function headersOf(browser: Browser, page: Page): Record<string, string> {
  const jar = browser.cookies.get(new URL(base).host)
  const { csrfToken } = JSON.parse(page.body) as Shown
  return { Cookie: `stowage=${jar?.get('stowage')}`, 'X-CSRF-Token': csrfToken }
}

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** What a client with that secret may do there. */
async function granted(user: string, secret: string, scope: string): Promise<readonly string[] | number> {
  const answer = await call('GET', `/token?scope=${scope}`, basic(user, secret))
  if (answer.status !== 200) return answer.status
  const { token } = json(answer) as { token: string }
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    access: { actions: string[] }[]
  }
  return claims.access.flatMap(({ actions }) => actions)
}

async function cliSecret(browser: Browser, page: Page): Promise<string> {
  const made = await call('POST', '/api/v1/me/secret', headersOf(browser, page), {})
  expectStatus(made, 201)
  return (json(made) as { secret: string }).secret
}

async function membersOf(group: string): Promise<string[]> {
  const { db } = server.app.registry
  return groupMemberPage(db, (await findGroup(db, group))?.id ?? -1, '', 100)
}

async function makeProject(): Promise<void> {
  await server.app.registry.db.transaction(async (tx) => {
    await insertProject(tx, { name: 'team', visibility: 'private', now: 1 })
    for (const group of ['devs', 'ops']) await insertGroup(tx, group, 1)
    const projectId = (await findProject(tx, 'team'))?.id ?? 0
    await setGroupRole(tx, { projectId, groupId: (await findGroup(tx, 'ops'))?.id ?? 0, role: 'developer' })
  })
}

describe('by OpenID Connect', () => {
  beforeEach(() => start())
  afterEach(stop)

  test('somebody logs in, gets a user, groups, a session and a secret for docker', async () => {
    await makeProject()
    const browser = new Browser()
    const page = await logIn('s-1', browser)
    assert.equal(page.url.pathname, '/auth/session')
    assert.equal((JSON.parse(page.body) as Shown).name, 'ann')
    const me = json(await call('GET', '/api/v1/me', headersOf(browser, page))) as Record<string, unknown>
    assert.deepEqual([me['email'], me['displayName'], me['systemRole']], ['ann@example.com', 'ANN', null])
    // Mapped, found by name, and not there at all.
    assert.deepEqual(await membersOf('devs'), ['ann'])
    assert.deepEqual(await membersOf('ops'), ['ann'])
    assert.equal(await findGroup(server.app.registry.db, 'nobody'), undefined)
    const secret = await cliSecret(browser, page)
    assert.deepEqual(await granted('ann', secret, 'repository:team/app:pull,push'), ['pull', 'push'])
    // Rotated: the one before is over.
    const next = await cliSecret(browser, page)
    assert.equal(await granted('ann', secret, 'repository:team/app:pull'), 401)
    assert.deepEqual(await granted('ann', next, 'repository:team/app:pull'), ['pull'])
    expectStatus(await call('DELETE', '/api/v1/me/secret', headersOf(browser, page)), 204)
    assert.equal(await granted('ann', next, 'repository:team/app:pull'), 401)
  })

  test('zot CVE-2025-23208: groups that the provider takes away are gone at the next token', async () => {
    await makeProject()
    const browser = new Browser()
    const page = await logIn('s-1', browser)
    const secret = await cliSecret(browser, page)
    provider.people.set('s-1', { name: 'Ann', groups: ['Registry Admins'] })
    assert.deepEqual(await granted('ann', secret, 'repository:other/app:delete'), ['delete'])
    assert.deepEqual([await membersOf('devs'), await membersOf('ops')], [[], []])
    provider.people.set('s-1', { name: 'Ann', groups: [] })
    assert.deepEqual(await granted('ann', secret, 'repository:team/app:pull,push'), [])
    expectStatus(await call('GET', '/api/v1/users', headersOf(browser, page)), 403)
    provider.people.set('s-1', { name: 'Ann', groups: ['ops'] })
    assert.deepEqual(await granted('ann', secret, 'repository:team/app:pull,push'), ['pull', 'push'])
  })

  test('zot CVE-2025-23208: a membership that was entered here stays, also through a login', async () => {
    await makeProject()
    const { db } = server.app.registry
    const browser = new Browser()
    const page = await logIn('s-1', browser)
    const admin = basic('admin', PASSWORD)
    expectStatus(await call('PUT', '/api/v1/groups/ops/members/ann', admin), 204)
    provider.people.set('s-1', { name: 'Ann', groups: [] })
    await logIn('s-1', browser)
    assert.deepEqual([await membersOf('devs'), await membersOf('ops')], [[], ['ann']])
    assert.equal((await findUser(db, 'ann'))?.externalRole, null)
    assert.ok(page.body)
  })

  test('whom the provider knows no more is out: secret, session and refresh token', async () => {
    const browser = new Browser()
    const page = await logIn('s-1', browser)
    const headers = headersOf(browser, page)
    const secret = await cliSecret(browser, page)
    const offline = await call(
      'GET',
      '/token?offline_token=true&client_id=docker&service=stowage',
      basic('ann', secret),
    )
    const { refresh_token: refresh } = json(offline) as { refresh_token: string }
    provider.people.delete('s-1')
    assert.equal(await granted('ann', secret, 'repository:team/app:pull'), 401)
    expectStatus(await call('GET', '/auth/session', headers), 401)
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'docker',
      refresh_token: refresh,
    })
    const renewed = await send({ port: server.port }, 'POST', '/token', {
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    })
    expectStatus(renewed, 401)
  })

  test('while the provider is silent what it said last counts', async () => {
    const browser = new Browser()
    const secret = await cliSecret(browser, await logIn('s-1', browser))
    provider.isDown = true
    assert.deepEqual(await granted('ann', secret, 'repository:team/app:pull'), [])
    expectStatus(await call('GET', '/auth/oidc/login', {}), 303)
  })

  test('who somebody is is told by issuer and subject, and no name is taken over', async () => {
    const { db } = server.app.registry
    await db.transaction((tx) =>
      insertUser(tx, { name: 'bob', email: 'bob@example.com', systemRole: 'admin', now: 1 }),
    )
    provider.people.set('s-2', { name: 'Bob', email: 'bob@example.com', groups: [] })
    const first = await logIn('s-2')
    assert.equal((JSON.parse(first.body) as Shown).name, 'bob-2')
    assert.equal((await findUser(db, 'bob-2'))?.systemRole, null)
    // Renamed there, he is the same here.
    provider.people.set('s-2', { name: 'Robert', email: 'ann@example.com', groups: [] })
    assert.equal((JSON.parse((await logIn('s-2')).body) as Shown).name, 'bob-2')
    // Another account that has his old name now is another user.
    provider.people.set('s-3', { name: 'bob-2', groups: [] })
    assert.equal((JSON.parse((await logIn('s-3')).body) as Shown).name, 'bob-2-2')
    provider.people.set('s-4', { name: 'Админ!!', groups: [] })
    assert.equal((JSON.parse((await logIn('s-4')).body) as Shown).name, 'user')
  })

  test('a user that an admin disabled stays out', async () => {
    await logIn('s-1')
    expectStatus(await call('PATCH', '/api/v1/users/ann', basic('admin', PASSWORD), { disabled: true }), 200)
    assert.equal((await logIn('s-1')).status, 401)
  })

  for (const path of [
    '//evil.example',
    '/\\evil.example',
    'https://evil.example/',
    'evil.example',
    '/%09/evil.example/..//x\\',
    '/a\tb',
    'javascript:alert(1)',
    `/${'a'.repeat(2_000)}`,
  ])
    test(`Harbor CVE-2024-22244, zot callback_ui: no login leads to ${JSON.stringify(path.slice(0, 40))}`, async () => {
      expectStatus(await call('GET', `/auth/oidc/login?return=${encodeURIComponent(path)}`, {}), 400)
    })

  test('a login leads to the path that was asked for', async () => {
    const page = await logIn('s-1', new Browser(), '&return=%2Fhealthz%3Fa%3D1')
    assert.equal(page.url.href, `${base}/healthz?a=1`)
  })

  test('a callback is good for the browser that began, once, and unchanged', async () => {
    const browser = new Browser()
    const login = await browser.open(`${base}/auth/oidc/login`)
    const consent = await browser.submit(login, { login: 's-1', password: 'any' })
    const isCallback = (url: URL) => url.pathname === '/auth/oidc/callback'
    const { url } = await browser.submit(consent, {}, isCallback)
    // Login CSRF: the victim's browser has begun nothing, or something else.
    assert.equal((await new Browser().open(url)).status, 401)
    const other = new Browser()
    await other.open(`${base}/auth/oidc/login`, {}, () => true)
    assert.equal((await other.open(url)).status, 401)
    const forged = new URL(url)
    forged.searchParams.set('state', 'other')
    const saved = new Map(browser.cookies.get(url.host))
    assert.equal((await browser.open(forged)).status, 401)
    browser.cookies.set(url.host, new Map(saved))
    const mixed = new URL(url)
    mixed.searchParams.set('iss', 'https://other.example')
    assert.equal((await browser.open(mixed)).status, 401)
    browser.cookies.set(url.host, new Map(saved))
    assert.equal((await browser.open(url)).status, 200)
    browser.cookies.set(url.host, new Map(saved))
    assert.equal((await browser.open(url)).status, 401)
    assert.equal((await browser.open(`${base}/auth/oidc/callback?error=access_denied&state=x`)).status, 401)
  })

  test('a device logs in by a code, and gets a key that ends', async () => {
    const started = await call('POST', '/auth/oidc/device', {}, {})
    expectStatus(started, 200)
    const start = json(started) as { device: string; verificationUriComplete: string; userCode: string }
    const poll = () => call('POST', '/auth/oidc/device/token', {}, { device: start.device })
    expectStatus(await poll(), 202)
    const browser = new Browser()
    const typed = await browser.open(start.verificationUriComplete)
    const confirm = await browser.submit(typed)
    const login = await browser.submit(confirm)
    const consent = await browser.submit(login, { login: 's-1', password: 'any' })
    const done = await browser.submit(consent)
    assert.equal(done.status, 200, done.body)
    const answer = await poll()
    expectStatus(answer, 200)
    const { name, secret } = json(answer) as { name: string; secret: string }
    assert.equal(name, 'ann')
    expectStatus(await call('GET', '/v2/', basic(name, secret)), 200)
    expectStatus(await poll(), 403)
    expectStatus(await call('POST', '/auth/oidc/device/token', {}, { device: 'made-up' }), 403)
    expectStatus(await call('POST', '/auth/oidc/device', {}, { provider: 'other' }), 404)
  })
})

test('only members of the groups that are named are let in, and are out when they leave them', async () => {
  await start({ keys: { allowedgroups: ['ops'] }, provider: { inIdToken: true } })
  try {
    provider.people.set('s-9', { name: 'eve', groups: ['other'] })
    assert.equal((await logIn('s-9')).status, 401)
    assert.equal(await findUser(server.app.registry.db, 'eve'), undefined)
    const browser = new Browser()
    const secret = await cliSecret(browser, await logIn('s-1', browser))
    provider.people.set('s-1', { name: 'Ann', groups: [] })
    assert.equal(await granted('ann', secret, 'repository:team/app:pull'), 401)
  } finally {
    await stop()
  }
})

test('without provision an admin links an account first', async () => {
  await start({ keys: { provision: false } })
  try {
    assert.equal((await logIn('s-1')).status, 401)
    const admin = basic('admin', PASSWORD)
    const link = { provider: 'corp', subject: 's-1' }
    expectStatus(await call('POST', '/api/v1/users/admin/identities', admin, link), 201)
    assert.equal((JSON.parse((await logIn('s-1')).body) as Shown).name, 'admin')
    expectStatus(await call('POST', '/api/v1/users/admin/identities', admin, link), 409)
    const listed = json(await call('GET', '/api/v1/users/admin/identities', admin)) as {
      items: { id: number }[]
    }
    assert.doesNotMatch(JSON.stringify(listed), /grant/i)
    expectStatus(await call('DELETE', `/api/v1/users/admin/identities/${listed.items[0]?.id}`, admin), 204)
    assert.equal((await logIn('s-1')).status, 401)
    // With a password of his own the admin came in all the time.
    expectStatus(await call('GET', '/api/v1/me', admin), 200)
  } finally {
    await stop()
  }
})

test('a provider without a device flow says so', async () => {
  await start({ provider: { devices: false } })
  try {
    expectStatus(await call('POST', '/auth/oidc/device', {}, {}), 409)
  } finally {
    await stop()
  }
})
