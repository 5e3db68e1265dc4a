import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import {
  type Authenticator,
  htpasswdAuthentication,
  noAuthentication,
  type RequestFacts,
  sillyAuthentication,
} from '#access/authenticate.ts'
import { AUTHORIZATION_CHARS_MAX, parseBasic } from '#access/passwords/basic-credentials.ts'
import { Htpasswd, setHtpasswdUser } from '#access/passwords/htpasswd.ts'
import type { Access } from '#identity/action.ts'
import { basicChallenge, bearerChallenge } from '#identity/challenge.ts'
import { formatScopes } from '#identity/scope.ts'
import { OciError } from '#oci/errors.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { silentLog } from '#telemetry/log.ts'

const folder = mkdtempSync(join(tmpdir(), 'authenticate-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'htpasswd')
await setHtpasswdUser(file, 'ann', 'p:w ä')
const htpasswd = await Htpasswd.open({ file, log: silentLog(), onCreated: () => {} })

const facts: RequestFacts = { host: 'registry.example', scheme: 'https', remote: '127.0.0.1' }
const access: Access[] = [
  { type: 'repository', name: parseRepositoryName('team/app'), actions: ['pull', 'push'] },
  { type: 'repository', name: parseRepositoryName('base'), actions: ['pull'] },
  { type: 'catalog' },
  { type: 'version' },
]
const SCOPES = 'repository:team/app:pull,push repository:base:pull registry:catalog:*'
const basic = (text: string | Buffer) => `Basic ${Buffer.from(text).toString('base64')}`

async function refusal(authenticator: Authenticator, authorization: string | undefined): Promise<OciError> {
  try {
    await authenticator.authenticate({ authorization }, access, facts)
  } catch (error) {
    assert.ok(error instanceof OciError)
    assert.equal(error.row.status, 401)
    return error
  }
  assert.fail('was let in')
}

test('without authentication everybody is anonymous, whatever they bring', async () => {
  for (const authorization of [undefined, '', 'Basic !!!', basic('a:b'), 'Bearer x'])
    assert.deepEqual(await noAuthentication.authenticate({ authorization }, access, facts), {
      kind: 'anonymous',
    })
})

test('a user of the file is who the credentials say', async () => {
  const authenticator = htpasswdAuthentication(htpasswd, 'r')
  for (const scheme of ['Basic', 'basic', 'BASIC']) {
    const authorization = basic('ann:p:w ä').replace('Basic', scheme)
    assert.deepEqual(await authenticator.authenticate({ authorization }, access, facts), {
      kind: 'user',
      name: 'ann',
    })
  }
})

test('whoever brings none hears exactly one challenge and what was wanted', async () => {
  const error = await refusal(htpasswdAuthentication(htpasswd, 'my "realm"'), undefined)
  assert.equal(error.reason, 'UNAUTHORIZED')
  assert.deepEqual(error.headers, { 'WWW-Authenticate': 'Basic realm="my \\"realm\\""' })
  assert.deepEqual(error.detail, [
    { Type: 'repository', Class: '', Name: 'team/app', Action: 'pull' },
    { Type: 'repository', Class: '', Name: 'team/app', Action: 'push' },
    { Type: 'repository', Class: '', Name: 'base', Action: 'pull' },
    { Type: 'registry', Class: '', Name: 'catalog', Action: '*' },
  ])
})

for (const [what, authorization] of [
  ['a wrong password', basic('ann:x')],
  ['an unknown user', basic('bob:p:w ä')],
  ['no colon', basic('ann')],
  ['no user', basic(':p')],
  ['another scheme', 'Bearer abc'],
  ['a scheme alone', 'Basic'],
  ['nothing behind the scheme', 'Basic '],
  ['what is not base64', 'Basic %%%'],
  ['bytes that are not UTF-8', basic(Buffer.from('ann:\xff', 'latin1'))],
  ['a NUL', basic('ann:p:w ä\0')],
  ['a line break', basic('an\nn:p')],
  ['a megabyte', `Basic ${'A'.repeat(1_000_000)}`],
] as const)
  test(`${what} is answered with 401, the challenge and no detail of what was wrong`, async () => {
    const error = await refusal(htpasswdAuthentication(htpasswd, 'r'), authorization)
    assert.equal(error.reason, 'CREDENTIALS_INVALID')
    assert.deepEqual(error.headers, { 'WWW-Authenticate': 'Basic realm="r"' })
    assert.equal(error.message, new OciError('CREDENTIALS_INVALID').message)
  })

test("registry:2's silly lets in whoever brings any header, and sends others for a token", async () => {
  const silly = sillyAuthentication('https://auth.example/token', 'registry')
  const let_in = await silly.authenticate({ authorization: 'anything' }, access, facts)
  assert.deepEqual(let_in, { kind: 'user', name: 'silly' })
  const error = await refusal(silly, undefined)
  assert.equal(
    error.headers['WWW-Authenticate'],
    `Bearer realm="https://auth.example/token",service="registry",scope="${SCOPES}"`,
  )
})

test('credentials are read as they were put together', () => {
  const printable = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text))
  const user = printable.filter((text) => text !== '' && !text.includes(':'))
  fc.assert(
    fc.property(user, printable, (name, password) => {
      assert.deepEqual(parseBasic(basic(`${name}:${password}`)), { user: name, password })
    }),
  )
})

test('no header makes the parser throw, and a long one is not read', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => void parseBasic(`Basic ${text}`)))
  const long = basic(`u:${'p'.repeat(AUTHORIZATION_CHARS_MAX)}`)
  assert.equal(parseBasic(long), undefined)
})

test('a challenge is one line of quoted ASCII, whatever its values are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.match(basicChallenge(text), /^Basic realm="(?:[ !#-[\]-~]|\\["\\])*"$/)
      assert.match(
        bearerChallenge(text, text, text),
        /^Bearer realm="[ -~]*",service="[ -~]*"(,scope="[ -~]+")?$/,
      )
    }),
  )
})

test('a request that any identity may make has no scope', () => {
  assert.equal(formatScopes([{ type: 'version' }]), '')
  assert.equal(formatScopes(access), SCOPES)
  assert.equal(bearerChallenge('https://a/t', 's', ''), 'Bearer realm="https://a/t",service="s"')
})
