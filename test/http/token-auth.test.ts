// `auth.token`: a registry whose users a token server knows.
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { libtrustId, thumbprint } from '#access/tokens/token-keys.ts'
import { EXIT } from '#cli/output.ts'
import { makeLayout } from '../cli/made-layout.ts'
import { run } from '../cli/run.ts'
import { runCommand } from '../clients/command.ts'
import { findProgram } from '../tools/find-program.ts'
import { selfSigned, signedBy } from './certificates.ts'
import { errorOf, locationOf, refusalOf, send } from './client.ts'
import { contentOf } from './content.ts'
import { startServer, type TestServer } from './server.ts'
import { ISSUER, KEY_ID, SERVICE, startTokenServer, type TokenServer } from './token-server.ts'

const folder = await mkdtemp(join(tmpdir(), 'stowage-token-'))
const jwks = join(folder, 'jwks.json')
let tokens: TokenServer
let server: TestServer

async function writeJwks(key: KeyObject): Promise<void> {
  await writeFile(jwks, JSON.stringify({ keys: [{ ...key.export({ format: 'jwk' }), kid: KEY_ID }] }))
}

const variables = (realm: string) => ({
  REGISTRY_AUTH_TOKEN_REALM: realm,
  REGISTRY_AUTH_TOKEN_SERVICE: SERVICE,
  REGISTRY_AUTH_TOKEN_ISSUER: ISSUER,
  REGISTRY_AUTH_TOKEN_JWKS: jwks,
})

before(async () => {
  tokens = await startTokenServer({
    ann: { password: 'secret', rights: 'repository:team/app:* repository:base/os:pull registry:catalog:*' },
    bob: { password: 'secret', rights: 'repository:team/app:pull' },
  })
  await writeJwks(tokens.publicKey)
  server = await startServer({ env: variables(tokens.realm) })
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await tokens[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })
const challenge = (rest: string) => `Bearer realm="${tokens.realm}",service="${SERVICE}"${rest}`

/** A blob in a repository, pushed with a token for just that. */
async function pushBlob(repository: string, text: string) {
  const content = contentOf(text)
  const token = await tokens.token(`repository:${repository}:pull,push`)
  const path = `/v2/${repository}/blobs/uploads/?digest=${content.digest}`
  const answer = await send(server, 'POST', path, { ...bearer(token), body: content.bytes })
  assert.equal(answer.status, 201, answer.body.toString())
  return content
}

test('whoever brings no token is sent to the token server with the scope that the request needs', async () => {
  for (const [method, path, scope] of [
    ['GET', '/v2/', ''],
    ['GET', '/v2/team/app/manifests/latest', ',scope="repository:team/app:pull"'],
    ['POST', '/v2/team/app/blobs/uploads/', ',scope="repository:team/app:pull,push"'],
    ['DELETE', '/v2/team/app/manifests/latest', ',scope="repository:team/app:delete"'],
    ['GET', '/v2/_catalog', ',scope="registry:catalog:*"'],
  ] as const) {
    const answer = await send(server, method, path)
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    assert.equal(answer.headers['www-authenticate'], challenge(scope))
  }
})

test('Basic credentials and other schemes are answered with the same challenge, and no word on whether they are right', async () => {
  for (const header of [`Basic ${btoa('ann:secret')}`, 'Bearer', 'Bearer ', 'Token abc', 'bearerabc']) {
    const answer = await send(server, 'GET', '/v2/', { headers: { Authorization: header } })
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    assert.equal(answer.headers['www-authenticate'], challenge(''))
  }
})

test('a token for the scope lets in, in whatever case its scheme is written', async () => {
  const token = await tokens.token('repository:team/app:pull')
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    const headers = { Authorization: `${scheme} ${token}` }
    assert.equal((await send(server, 'GET', '/v2/', { headers })).status, 200)
    assert.equal(
      refusalOf(await send(server, 'GET', '/v2/team/app/tags/list', { headers })),
      '404 NAME_UNKNOWN',
    )
  }
})

test('any valid token will do for /v2/, also one that gives nothing to nobody', async () => {
  assert.equal((await send(server, 'GET', '/v2/', bearer(await tokens.token('', { sub: '' })))).status, 200)
})

test('a token that gives less than the request needs is answered 401 with insufficient_scope, as registry:3 does', async () => {
  const scope = ',scope="repository:team/app:pull,push",error="insufficient_scope"'
  for (const given of [
    '',
    'repository:team/app:pull',
    'repository:team/app:push',
    'repository:team/app:delete',
    'repository:team:pull,push',
    'repository:team/app/x:pull,push',
    'registry:catalog:*',
  ]) {
    const answer = await send(
      server,
      'POST',
      '/v2/team/app/blobs/uploads/',
      bearer(await tokens.token(given)),
    )
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    assert.equal(answer.headers['www-authenticate'], challenge(scope))
    assert.deepEqual(errorOf(answer).detail, [
      { Type: 'repository', Class: '', Name: 'team/app', Action: 'pull' },
      { Type: 'repository', Class: '', Name: 'team/app', Action: 'push' },
    ])
  }
})

test('the catalog is for tokens that say so', async () => {
  assert.equal(
    (await send(server, 'GET', '/v2/_catalog', bearer(await tokens.token('registry:catalog:*')))).status,
    200,
  )
  const answer = await send(server, 'GET', '/v2/_catalog', bearer(await tokens.token('repository:catalog:*')))
  assert.equal(
    answer.headers['www-authenticate'],
    challenge(',scope="registry:catalog:*",error="insufficient_scope"'),
  )
})

test('a token that does not hold is answered 401 with invalid_token', async () => {
  const now = Math.floor(Date.now() / 1_000)
  const stranger = {
    key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    header: { alg: 'ES256', kid: KEY_ID },
  }
  for (const token of [
    await tokens.token('repository:team/app:pull', { exp: now - 61, iat: now - 400 }),
    await tokens.token('repository:team/app:pull', { aud: 'other' }),
    await tokens.token('repository:team/app:pull', { iss: 'other' }),
    await tokens.token('repository:team/app:pull', {}, stranger),
    'x.y.z',
    'x',
  ]) {
    const answer = await send(server, 'GET', '/v2/team/app/tags/list', bearer(token))
    assert.equal(refusalOf(answer), '401 UNAUTHORIZED')
    const error = challenge(',scope="repository:team/app:pull",error="invalid_token"')
    assert.equal(answer.headers['www-authenticate'], error)
  }
})

test('Gitea CVE-2026-117685: a blob is mounted only from a repository that the token may pull, else it is uploaded', async () => {
  const blob = await pushBlob('base/os', 'a layer of the base')
  const mount = async (scope: string, query: string) => {
    const path = `/v2/team/app/blobs/uploads/?mount=${blob.digest}${query}`
    const answer = await send(server, 'POST', path, bearer(await tokens.token(scope)))
    if (answer.status === 202) {
      const token = await tokens.token('repository:team/app:pull,push')
      await send(server, 'DELETE', locationOf(answer), bearer(token))
    }
    return answer.status
  }
  const own = 'repository:team/app:pull,push'
  assert.equal(await mount(own, '&from=base/os'), 202)
  assert.equal(await mount(`${own} repository:base/os:push,delete`, '&from=base/os'), 202)
  assert.equal(await mount(`${own} repository:base:pull`, '&from=base/os'), 202)
  assert.equal(await mount(own, ''), 202, 'without a source no other repository is searched')
  assert.equal(await mount(own, '&from='), 202)
  assert.equal(await mount(`${own} repository:base/os:pull`, '&from=base/os'), 201)
  assert.equal(await mount(own, ''), 201, 'what the repository itself holds')
})

test('the log names whom the token is for', async () => {
  await send(server, 'GET', '/v2/', bearer(await tokens.token('', { sub: 'carla' })))
  await server.access.first(({ fields }) => fields['principal'] === 'carla')
})

test('new keys are in force after a reload, for tokens that were believed before too; broken files change nothing', async () => {
  const token = await tokens.token('repository:team/app:pull')
  const status = async () => (await send(server, 'GET', '/v2/', bearer(token))).status
  assert.equal(await status(), 200)
  await writeFile(jwks, '{')
  await server.app.reload()
  assert.equal(await status(), 200)
  await writeJwks(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
  assert.equal(await status(), 200)
  await server.app.reload()
  assert.equal(await status(), 401)
  await writeJwks(tokens.publicKey)
  await server.app.reload()
  assert.equal(await status(), 200)
})

test('with a bundle, its certificates sign tokens, and so do those that it vouches for', async () => {
  const authority = await selfSigned(folder, 'authority')
  const signer = await signedBy(folder, authority, 'signer')
  const other = await selfSigned(folder, 'other')
  const { REGISTRY_AUTH_TOKEN_JWKS: _, ...withoutJwks } = variables(tokens.realm)
  const env = { ...withoutJwks, REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: authority.certificate }
  await using bundled = await startServer({ env })
  const x5c = async (...pairs: { certificate: string }[]) =>
    Promise.all(
      pairs.map(async ({ certificate }) =>
        new X509Certificate(await readFile(certificate)).raw.toString('base64'),
      ),
    )
  const keyOf = async (pair: { key: string }) => createPrivateKey(await readFile(pair.key))
  const root = new X509Certificate(await readFile(authority.certificate)).publicKey
  const status = async (pair: { key: string }, header: object) => {
    const token = await tokens.token('', {}, { key: await keyOf(pair), header: { alg: 'ES256', ...header } })
    return (await send(bundled, 'GET', '/v2/', bearer(token))).status
  }
  assert.equal(await status(authority, { kid: libtrustId(root) }), 200)
  assert.equal(await status(authority, { kid: thumbprint(root) }), 200)
  assert.equal(await status(authority, { x5c: await x5c(authority) }), 200)
  assert.equal(await status(signer, { x5c: await x5c(signer) }), 200)
  assert.equal(await status(signer, { x5c: await x5c(signer, authority) }), 200)
  assert.equal(await status(other, { x5c: await x5c(other) }), 401)
  assert.equal(await status(other, { x5c: await x5c(signer) }), 401)
  assert.equal(await status(other, { kid: libtrustId(root) }), 401)
  assert.equal(await status(signer, { kid: libtrustId(root) }), 401)
})

test('with autoredirect clients are sent to where they reached us', async () => {
  const env = { ...variables(''), REGISTRY_AUTH_TOKEN_AUTOREDIRECT: 'true' }
  const realmOf = async (target: TestServer, headers: Record<string, string>) => {
    const answer = await send(target, 'GET', '/v2/', { headers })
    return /realm="([^"]*)"/.exec(answer.headers['www-authenticate'] ?? '')?.[1]
  }
  await using plain = await startServer({ env })
  assert.equal(await realmOf(plain, { Host: 'r.example:5000' }), 'http://r.example:5000/auth/token')
  const forwarded = { Host: 'r.example', 'X-Forwarded-Proto': 'https' }
  assert.equal(await realmOf(plain, forwarded), 'https://r.example/auth/token')
  await plain.restart({
    ...env,
    REGISTRY_AUTH_TOKEN_AUTOREDIRECTPATH: '/t',
    REGISTRY_HTTP_HOST: 'https://fixed.example/',
  })
  assert.equal(await realmOf(plain, forwarded), 'https://fixed.example/t')
})

test('keys that cannot be read stop the start', async () => {
  const env = { ...variables(tokens.realm), REGISTRY_AUTH_TOKEN_JWKS: join(folder, 'missing') }
  await assert.rejects(startServer({ env }), /missing/)
})

test('stowage itself pushes and pulls with tokens, and a wrong password is refused', async () => {
  const home = await mkdtemp(join(folder, 'home-'))
  const layout = await makeLayout(join(home, 'made'))
  const env = { HOME: home }
  const login = (user: string) => ['login', '--username', user, '--password-stdin', server.host]
  assert.equal((await run(login('ann'), { env, password: 'wrong' })).code, EXIT.denied)
  const logged = await run(login('ann'), { env, password: 'secret' })
  assert.equal(logged.code, 0, logged.notes.join('\n'))
  const pushed = await run(['push', `${layout.folder}:1`, `${server.host}/team/app:1`], { env })
  assert.equal(pushed.code, 0, pushed.notes.join('\n'))
  const pulled = await run(['pull', `${server.host}/team/app:1`, join(home, 'pulled')], { env })
  assert.equal(pulled.code, 0, pulled.notes.join('\n'))
  const elsewhere = await run(['push', `${layout.folder}:1`, `${server.host}/base/os:1`], { env })
  assert.equal(elsewhere.code, EXIT.denied)
})

const skopeo = findProgram('skopeo')

test('skopeo pushes and pulls with tokens, and a wrong password or right is refused', {
  skip: skopeo === undefined && 'skopeo is not installed',
}, async () => {
  const home = await mkdtemp(join(folder, 'skopeo-'))
  const { folder: made } = await makeLayout(join(home, 'made'))
  const policy = join(home, 'policy.json')
  await writeFile(policy, '{"default":[{"type":"insecureAcceptAnything"}]}')
  const copy = (...args: string[]) =>
    runCommand(skopeo ?? '', ['--policy', policy, '--tmpdir', home, 'copy', ...args], {
      env: { HOME: home, PATH: process.env['PATH'] ?? '', XDG_RUNTIME_DIR: home },
    })
  const image = `docker://${server.host}/team/app:skopeo`
  const push = (creds: string) =>
    copy('--dest-tls-verify=false', '--dest-creds', creds, `oci:${made}:1`, image)
  const refused = await push('ann:wrong')
  assert.notEqual(refused.code, 0)
  assert.match(refused.stderr, /invalid username\/password|unauthorized|incorrect/)
  const without = await push('bob:secret')
  assert.notEqual(without.code, 0)
  const pushed = await push('ann:secret')
  assert.equal(pushed.code, 0, pushed.stderr)
  const pull = (creds: string) =>
    copy('--src-tls-verify=false', '--src-creds', creds, image, `dir:${join(home, 'pulled')}`)
  const pulled = await pull('bob:secret')
  assert.equal(pulled.code, 0, pulled.stderr)
  assert.notEqual((await pull('bob:wrong')).code, 0)
  assert.ok(tokens.asked.some((scope) => scope.includes('repository:team/app:pull,push')))
})
