// Jobs that log in with the token of their own identity, against an issuer with discovery and keys.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { ASK_AGAIN_MS, FetchedKeys, FRESH_MS, STALE_MS } from '#access/federation/issuer-keys.ts'
import { Outbound } from '#lib/outbound/outbound.ts'
import { type Answer, json, send } from './client.ts'
import { expectStatus, makeImage, pushImage } from './content.ts'
import { AUDIENCE, startIssuer, type TestIssuer } from './issuer.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const JOB = { sub: 'repo:acme/app:ref:refs/heads/main', repository: 'acme/app', ref: 'refs/heads/main' }
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
let issuer: TestIssuer
let server: TestServer

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

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

const asAdmin = (method: string, path: string, body?: unknown) =>
  call(method, `/api/v1${path}`, basic('admin', PASSWORD), body)

async function addRobot(name: string): Promise<void> {
  const permissions = [{ repository: 'team/**', rights: ['pull', 'push'] }]
  expectStatus(await asAdmin('POST', '/projects/team/robots', { name, permissions }), 201)
}

function addRule(robot: string, name: string, claims: object, by = 'ci'): Promise<Answer> {
  return asAdmin('POST', `/projects/team/robots/team+${robot}/federation`, { name, issuer: by, claims })
}

let addresses = 0
/** Each time from another address, so that refusals do not slow one another. */
function tokenFor(user: string, jwt: string, scope = 'repository:team/app:pull,push'): Promise<Answer> {
  return call('GET', `/token?service=stowage&scope=${scope}`, {
    ...basic(user, jwt),
    'X-Forwarded-For': `198.51.100.${++addresses}`,
  })
}

beforeEach(async () => {
  issuer = await startIssuer()
  server = await startServer({
    adminPassword: PASSWORD,
    env: {
      REGISTRY_AUTH: 'stowage',
      REGISTRY_OUTBOUND_ALLOW: '[127.0.0.1]',
      REGISTRY_AUTH_STOWAGE_FEDERATION: JSON.stringify({
        issuers: [
          { name: 'ci', issuer: issuer.issuer, audience: AUDIENCE },
          { name: 'inner', issuer: 'http://192.168.255.1', audience: AUDIENCE },
        ],
        rules: [{ robot: 'team+fixed', issuer: 'ci', claims: { job: 'fixed' } }],
      }),
    },
  })
  expectStatus(await asAdmin('POST', '/projects', { name: 'team' }), 201)
  await addRobot('ci')
  await addRobot('fixed')
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
})

describe('a job', () => {
  test('logs in by its own token, and pushes what its robot may', async () => {
    expectStatus(await addRule('ci', 'main', { repository: 'acme/app', ref: 'refs/heads/*' }), 201)
    const jwt = await issuer.token(JOB)
    for (const user of ['oidc', 'team+ci']) {
      const answer = await tokenFor(user, jwt, 'repository:team/app:pull,push,delete')
      expectStatus(answer, 200)
      const { token, refresh_token: refresh } = json(answer) as { token: string; refresh_token?: string }
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<
        string,
        unknown
      >
      assert.equal(claims['sub'], 'team+ci')
      assert.deepEqual(claims['access'], [
        { type: 'repository', name: 'team/app', actions: ['pull', 'push'] },
      ])
      assert.equal(refresh, undefined)
      const target = { port: server.port, headers: { Authorization: `Bearer ${token}` } }
      await pushImage(target, 'team/app', user.replace('+', '-'), makeImage())
    }
    // By Basic on the registry itself, too.
    await pushImage({ port: server.port, headers: basic('oidc', jwt) }, 'team/app', 'basic', makeImage())
  })

  test('exchanges its token by RFC 8693', async () => {
    const form = (fields: Record<string, string>) =>
      send({ port: server.port }, 'POST', '/token', {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ grant_type: EXCHANGE, ...fields }).toString(),
      })
    const jwt = await issuer.token({ job: 'fixed' })
    const subject_token_type = 'urn:ietf:params:oauth:token-type:id_token'
    const answer = await form({ subject_token: jwt, subject_token_type, scope: 'repository:team/app:pull' })
    expectStatus(answer, 200)
    const body = json(answer) as Record<string, unknown>
    assert.equal(body['token_type'], 'Bearer')
    assert.equal(body['scope'], 'repository:team/app:pull')
    assert.equal(body['refresh_token'], undefined)
    expectStatus(await form({ subject_token: jwt }), 400)
    expectStatus(await form({ subject_token: `${jwt}x`, subject_token_type }), 401)
  })

  test('gets no token that outlives its own, and none to refresh', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const jwt = await issuer.token({ job: 'fixed', exp: now + 100 })
    const answer = await call('GET', '/token?offline_token=true&client_id=docker', basic('oidc', jwt))
    const { expires_in: life, refresh_token: refresh } = json(answer) as {
      expires_in: number
      refresh_token?: string
    }
    assert.ok(life <= 100 && life > 90, String(life))
    assert.equal(refresh, undefined)
  })

  test('is refused when its claims do not match, its robot is disabled, or the rule is gone', async () => {
    expectStatus(await addRule('ci', 'main', { repository: 'acme/app', ref: 'refs/heads/main' }), 201)
    const jwt = await issuer.token(JOB)
    expectStatus(await tokenFor('oidc', jwt), 200)
    expectStatus(await tokenFor('team+fixed', jwt), 401)
    expectStatus(await tokenFor('oidc', await issuer.token({ ...JOB, ref: 'refs/heads/evil' })), 401)
    expectStatus(await tokenFor('oidc', await issuer.token({ ...JOB, repository: 'acme/app2' })), 401)
    expectStatus(await tokenFor('oidc', await issuer.token({})), 401)
    expectStatus(await asAdmin('PATCH', '/projects/team/robots/team+ci', { disabled: true }), 200)
    expectStatus(await tokenFor('oidc', jwt), 401)
    expectStatus(await asAdmin('PATCH', '/projects/team/robots/team+ci', { disabled: false }), 200)
    expectStatus(await asAdmin('DELETE', '/projects/team/robots/team+ci/federation/main'), 204)
    expectStatus(await tokenFor('oidc', jwt), 401)
  })

  test('Quay CVE-2026-123710: is refused with a token for somebody else, or one that is over or old', async () => {
    const now = Math.floor(Date.now() / 1_000)
    for (const claims of [
      { aud: 'sts.amazonaws.com' },
      { aud: ['a', 'b'] },
      { aud: undefined },
      { exp: now - 61 },
      { iat: now - 3_700, exp: now + 100_000 },
      { nbf: now + 120 },
      { iss: 'https://token.actions.githubusercontent.com' },
    ])
      expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed', ...claims })), 401)
    expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed', aud: ['x', AUDIENCE] })), 200)
  })

  test('whose claims match rules of several robots says by its name which one it means', async () => {
    await addRobot('second')
    expectStatus(await addRule('ci', 'main', { repository: 'acme/app' }), 201)
    expectStatus(await addRule('second', 'main', { repository: 'acme/*' }), 201)
    const jwt = await issuer.token(JOB)
    expectStatus(await tokenFor('oidc', jwt), 401)
    expectStatus(await tokenFor('team+second', jwt), 200)
    assert.match(JSON.stringify(server.log.lines), /several robots match/)
  })
})

describe('keys of an issuer', () => {
  test('are fetched once, and again when a token names a new one, but not as often as strangers want', async () => {
    for (let n = 0; n < 5; n++)
      expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed' })), 200)
    assert.equal(issuer.asked, 1)
    issuer.rotate()
    // The first question was a moment ago: so soon nobody is asked again.
    expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed' })), 401)
    for (let n = 0; n < 5; n++)
      expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed' }, { kid: `made-up-${n}` })), 401)
    assert.equal(issuer.asked, 1)
  })

  test('are found again after a rotation, and count for a day while the issuer is silent', async () => {
    const outbound = new Outbound({ allow: ['127.0.0.1'] })
    const keys = new FetchedKeys(issuer.issuer, async () => outbound)
    const start = 1_000_000
    assert.ok(await keys.find({ kid: 'key-1' }, start))
    issuer.rotate()
    assert.equal(await keys.find({ kid: 'key-2' }, start + ASK_AGAIN_MS - 1), undefined)
    const [found, same] = await Promise.all(
      [1, 2].map(() => keys.find({ kid: 'key-2' }, start + ASK_AGAIN_MS)),
    )
    assert.ok(found && same)
    assert.equal(issuer.asked, 2)
    assert.equal(await keys.find({ kid: 'key-1' }, start + 2 * ASK_AGAIN_MS), undefined)
    issuer.isDown = true
    assert.ok(await keys.find({ kid: 'key-2' }, start + 2 * FRESH_MS))
    await assert.rejects(keys.find({ kid: 'key-2' }, start + 2 * FRESH_MS + STALE_MS + 1), /are not there/)
    issuer.isDown = false
    assert.ok(await keys.find({ kid: 'key-2' }, start + 3 * FRESH_MS + STALE_MS))
    await outbound.close()
  })

  test('are believed from the issuer alone that the metadata is of', async () => {
    issuer.metadata = { issuer: 'https://other.example' }
    expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed' })), 401)
    assert.match(JSON.stringify(server.log.lines), /calls itself https:\/\/other.example/)
  })

  test('are not fetched from an address that the metadata smuggles in', async () => {
    issuer.metadata = { jwks_uri: 'http://169.254.169.254/latest/meta-data' }
    expectStatus(await tokenFor('oidc', await issuer.token({ job: 'fixed' })), 401)
    assert.match(JSON.stringify(server.log.lines), /169.254.169.254/)
  })

  test('of an issuer inside that nobody allowed are not fetched', async () => {
    const jwt = await issuer.token({ job: 'fixed', iss: 'http://192.168.255.1' })
    expectStatus(await tokenFor('oidc', jwt), 401)
  })
})

describe('rules', () => {
  test('are made, listed and taken away; what would let strangers in is refused', async () => {
    const made = await addRule('ci', 'main', { repository: 'acme/app' })
    expectStatus(made, 201)
    assert.equal((json(made) as { issuer: string }).issuer, issuer.issuer)
    expectStatus(await addRule('ci', 'main', { repository: 'acme/app' }), 409)
    expectStatus(await addRule('ci', 'open', {}), 400)
    expectStatus(await addRule('ci', 'open', { sub: '**' }), 400)
    expectStatus(await addRule('ci', 'open', { aud: 'x' }), 400)
    expectStatus(await addRule('ci', 'open', { sub: 'x' }, 'https://evil.example'), 400)
    expectStatus(await addRule('none', 'main', { sub: 'x' }), 404)
    const listed = await asAdmin('GET', '/projects/team/robots/team+ci/federation')
    const { items } = json(listed) as { items: { name: string }[] }
    assert.deepEqual(
      items.map(({ name }) => name),
      ['main'],
    )
    // A robot of another project is not there, whoever asks.
    expectStatus(await asAdmin('POST', '/projects', { name: 'other' }), 201)
    expectStatus(await asAdmin('GET', '/projects/other/robots/team+ci/federation'), 404)
  })
})
