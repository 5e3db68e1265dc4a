// Certificates of clients that log in.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:http2'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { hashPassword } from '#access/passwords/passwords.ts'
import { insertProject } from '#db/projects.ts'
import { insertUser } from '#db/users.ts'
import { type KeyPair, selfSigned, signedBy } from './certificates.ts'
import { type Answer, collect, json, responseTo } from './client.ts'
import { expectStatus } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const SPIFFE = 'URI:spiffe://example.org/ns/build/job'
let folder: string
let authority: KeyPair
let server: TestServer

interface Asked {
  readonly client?: KeyPair
  readonly headers?: Record<string, string>
  readonly method?: string
  readonly body?: string
  readonly agent?: Agent
}

async function ask(
  path: string,
  { client, headers = {}, method = 'GET', body, agent }: Asked = {},
): Promise<Answer> {
  const outgoing = request({
    ...{ host: 'localhost', port: server.port, path, method, headers, agent: agent ?? false },
    ...(!agent && { ca: await readFile(authority.certificate) }),
    ...(client && !agent && { cert: await readFile(client.certificate), key: await readFile(client.key) }),
  })
  outgoing.end(body)
  return collect(await responseTo(outgoing))
}

const basic = (user: string, password = PASSWORD) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-mtls-'))
  authority = await selfSigned(folder, 'localhost')
  server = await startServer({
    adminPassword: PASSWORD,
    env: {
      REGISTRY_AUTH: 'stowage',
      REGISTRY_HTTP_ADDR: 'localhost:0',
      REGISTRY_HTTP_TLS_CERTIFICATE: authority.certificate,
      REGISTRY_HTTP_TLS_KEY: authority.key,
      REGISTRY_HTTP_TLS_CLIENTCAS: `[${authority.certificate}]`,
      // The weakest: whatever certificate comes is let in to the connection, and must still not log in.
      REGISTRY_HTTP_TLS_CLIENTAUTH: 'request-client-cert',
      REGISTRY_AUTH_STOWAGE_CERTIFICATES_RULES: JSON.stringify([
        { from: 'uri', pattern: 'spiffe://example.org/ns/build/*', account: 'team+ci' },
        { from: 'cn', pattern: '*', account: '{name}' },
      ]),
    },
  })
  const passwordHash = await hashPassword(PASSWORD)
  await server.app.registry.db.transaction(async (tx) => {
    await insertUser(tx, { name: 'ann', passwordHash, now: 1 })
    await insertUser(tx, { name: 'gone', passwordHash, disabledAt: 1, now: 1 })
    await insertProject(tx, { name: 'team', visibility: 'private', now: 1 })
  })
  const robot = { name: 'ci', permissions: [{ repository: 'team/**', rights: ['pull', 'push'] }] }
  const made = await ask('/api/v1/projects/team/robots', {
    method: 'POST',
    headers: { ...basic('admin'), 'Content-Type': 'application/json' },
    body: JSON.stringify(robot),
  })
  expectStatus(made, 201)
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function actions(asked: Asked, repository = 'team/app'): Promise<unknown> {
  const answer = await ask(`/token?service=stowage&scope=repository:${repository}:pull,push,delete`, asked)
  if (answer.status !== 200) return answer.status
  const { token } = json(answer) as { token: string }
  const { sub, access } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    sub: string
    access: { actions: string[] }[]
  }
  return [sub, ...access.flatMap((one) => one.actions)]
}

test('a SPIFFE id speaks for a robot: at the registry itself, and for a token', async () => {
  const client = await signedBy(folder, authority, 'workload', {
    subject: '/O=Example',
    alternatives: SPIFFE,
  })
  expectStatus(await ask('/v2/', { client }), 200)
  expectStatus(await ask('/v2/team/app/tags/list', { client }), 404)
  expectStatus(await ask('/v2/other/app/tags/list', { client }), 403)
  assert.deepEqual(await actions({ client }), ['team+ci', 'pull', 'push'])
})

test('a common name speaks for a user', async () => {
  const client = await signedBy(folder, authority, 'ann')
  expectStatus(await ask('/v2/', { client }), 200)
  assert.deepEqual(await actions({ client }), ['ann'])
  const admin = await signedBy(folder, authority, 'admin')
  assert.deepEqual(await actions({ client: admin }), ['admin', 'pull', 'push', 'delete'])
})

test('so it does when the connection goes on from an earlier one, and over HTTP/2', async () => {
  const client = await signedBy(folder, authority, 'ann-again', { subject: '/CN=ann' })
  const [ca, cert, key] = await Promise.all(
    [authority.certificate, client.certificate, client.key].map((file) => readFile(file)),
  )
  // No connection is kept, but its session is.
  const agent = new Agent({ keepAlive: false, ...{ ca, cert, key } })
  for (let n = 0; n < 3; n++) expectStatus(await ask('/v2/', { agent }), 200)
  const session = connect(`https://localhost:${server.port}`, { ca, cert, key })
  const stream = session.request({ ':path': '/v2/' })
  const status = await new Promise((resolve) =>
    stream.once('response', (headers) => resolve(headers[':status'])),
  )
  assert.equal(status, 200)
  stream.close()
  session.close()
})

test('nobody is let in by a certificate that is not of our authority, says nothing, or speaks for nobody', async () => {
  const strangers = await selfSigned(folder, 'strangers')
  for (const client of [
    await signedBy(folder, strangers, 'forged', { subject: '/CN=admin' }),
    await signedBy(folder, strangers, 'forged-spiffe', { subject: '/O=x', alternatives: SPIFFE }),
    await signedBy(folder, authority, 'nameless', { subject: '/O=Example' }),
    await signedBy(folder, authority, 'unknown'),
    await signedBy(folder, authority, 'gone'),
    await signedBy(folder, authority, 'two', { subject: '/CN=ann/CN=admin' }),
    await signedBy(folder, authority, 'smuggled', { subject: '/O=x\\, CN=admin' }),
    await signedBy(folder, authority, 'two-uris', {
      subject: '/O=x',
      alternatives: `${SPIFFE},URI:spiffe://a/b`,
    }),
    await signedBy(folder, authority, 'quoted', {
      subject: '/O=x',
      alternatives: '@names\n[names]\nDNS.1=a, URI:spiffe://example.org/ns/build/job',
    }),
  ]) {
    const answer = await ask('/v2/', { client })
    assert.equal(answer.status, 401, client.certificate)
    assert.match(String(answer.headers['www-authenticate']), /^Bearer /)
    assert.deepEqual(await actions({ client }), [''], client.certificate)
  }
  expectStatus(await ask('/v2/'), 401)
})

test('Gitea CVE-2026-20896: a header that says what a certificate said counts for nothing', async () => {
  for (const headers of [
    { 'X-SSL-Client-S-DN': 'CN=admin', 'X-SSL-Client-Verify': 'SUCCESS' },
    { 'X-Forwarded-Client-Cert': 'Subject="CN=admin";URI=spiffe://example.org/ns/build/job' },
    { 'X-WEBAUTH-USER': 'admin', 'X-Forwarded-User': 'admin', 'X-Remote-User': 'admin' },
  ])
    expectStatus(await ask('/v2/', { headers }), 401)
})

test('who sends a password is who that says, and a wrong one is not made good', async () => {
  const client = await signedBy(folder, authority, 'admin-too', { subject: '/CN=admin' })
  assert.deepEqual(await actions({ client, headers: basic('ann') }), ['ann'])
  expectStatus(await ask('/v2/', { client, headers: basic('ann', 'wrong') }), 401)
})

test('the management is not for certificates, which browsers send unasked', async () => {
  const client = await signedBy(folder, authority, 'admin-again', { subject: '/CN=admin' })
  expectStatus(await ask('/api/v1/users', { client }), 401)
})
