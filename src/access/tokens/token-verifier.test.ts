import assert from 'node:assert/strict'
import { createHash, sign } from 'node:crypto'
import { test } from 'node:test'
import {
  forgedTokensSuite,
  HEADER,
  keys,
  type Members,
  NOW,
  ours,
  rsa,
  seconds,
  token,
} from '#access/tokens/forged-tokens.suite.ts'
import { LEEWAY_MS, TOKEN_ALGORITHMS, TokenRefused } from '#access/tokens/signed-claims.ts'
import { libtrustId, publicKeyOf, thumbprint } from '#access/tokens/token-keys.ts'
import { REMEMBERED_CHARS_MAX, SUBJECT_CHARS_MAX, TokenVerifier } from '#access/tokens/token-verifier.ts'

const clock = { ms: NOW }

function verifier(): TokenVerifier {
  clock.ms = NOW
  return new TokenVerifier({
    keys,
    issuer: 'issuer',
    audience: 'registry',
    algorithms: TOKEN_ALGORITHMS,
    now: () => clock.ms,
  })
}

const CLAIMS: Members = {
  iss: 'issuer',
  sub: 'ann',
  aud: 'registry',
  exp: seconds + 300,
  nbf: seconds,
  iat: seconds,
  jti: 'x',
  access: [
    { type: 'repository', name: 'team/app', actions: ['pull', 'push'] },
    { type: 'repository', class: 'plugin', name: 'team/all', actions: ['*'] },
    { type: 'repository', name: 'team/odd', actions: ['fly'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
    { type: 'other', name: 'x', actions: ['pull'] },
  ],
}

const good = token(HEADER, CLAIMS)

async function refused(text: string, why?: RegExp): Promise<void> {
  await assert.rejects(verifier().verify(text), (error) => {
    assert.ok(error instanceof TokenRefused, String(error))
    if (why) assert.match(error.message, why)
    return true
  })
}

test('a token says who somebody is and what they may do', async () => {
  assert.deepEqual(await verifier().verify(good), {
    principal: { kind: 'user', name: 'ann' },
    grants: [
      { type: 'repository', name: 'team/app', actions: ['pull', 'push'] },
      { type: 'repository', name: 'team/all', actions: ['pull', 'push', 'delete'] },
      { type: 'repository', name: 'team/odd', actions: [] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ],
    issuedAtMs: NOW,
    expiresAtMs: NOW + 300_000,
  })
})

test('a token without a subject or access is for nobody and gives nothing', async () => {
  for (const claims of [
    { ...CLAIMS, sub: '', access: [] },
    { ...CLAIMS, sub: undefined, access: undefined },
    { ...CLAIMS, sub: '', access: null },
  ]) {
    const { principal, grants } = await verifier().verify(token(HEADER, claims))
    assert.deepEqual([principal, grants], [{ kind: 'anonymous' }, []])
  }
})

test('the audience may be one of several', async () => {
  await verifier().verify(token(HEADER, { ...CLAIMS, aud: ['other', 'registry'] }))
})

test('a key may be named by its id in the set, its thumbprint, or its libtrust id', async () => {
  assert.equal(thumbprint(ours.publicKey).length, 43)
  await verifier().verify(token({ ...HEADER, kid: thumbprint(ours.publicKey) }, CLAIMS))
  const { publicKey } = ours
  await verifier().verify(token({ alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) }, CLAIMS))
  assert.match(libtrustId(publicKey), /^(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}$/)
})

test('the thumbprint is that of RFC 7638, section 3.1', () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
  const key = publicKeyOf({ kty: 'RSA', n, e: 'AQAB' })
  assert.equal(key && thumbprint(key), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
})

for (const alg of ['RS256', 'PS512'])
  test(`a key of a set that names no algorithm verifies ${alg}`, async () => {
    const padding = alg.startsWith('PS') ? { padding: 6, saltLength: 64 } : {}
    const signature = (text: string) =>
      sign(`sha${alg.slice(2)}`, Buffer.from(text), { key: rsa.privateKey, ...padding }).toString('base64url')
    await verifier().verify(token({ alg, kid: 'rsa' }, CLAIMS, signature))
  })

// Times, a minute of difference between clocks allowed.
for (const [what, claims, holds] of [
  ['at its last second', { exp: seconds - LEEWAY_MS / 1_000 + 1 }, true],
  ['a minute after its end', { exp: seconds - LEEWAY_MS / 1_000 }, false],
  ['that is valid in a minute', { nbf: seconds + LEEWAY_MS / 1_000 }, true],
  ['that is valid in more than a minute', { nbf: seconds + LEEWAY_MS / 1_000 + 1 }, false],
  ['without nbf', { nbf: undefined }, true],
  ['without an end', { exp: undefined }, false],
  ['that ends at a text', { exp: String(seconds + 300) }, false],
  ['issued in the future', { iat: seconds + LEEWAY_MS / 1_000 + 1 }, false],
  ['of another issuer', { iss: 'other' }, false],
  ['of several issuers', { iss: ['issuer'] }, false],
  ['of no issuer', { iss: undefined }, false],
  ['for no audience', { aud: undefined }, false],
  ['for an audience that holds ours', { aud: 'registry2' }, false],
  ['whose subject is a number', { sub: 7 }, false],
  ['whose subject is endless', { sub: 'a'.repeat(SUBJECT_CHARS_MAX + 1) }, false],
  ['whose access is a text', { access: 'repository:a:pull' }, false],
  ['whose access holds nothing', { access: [null] }, false],
  ['whose actions are a text', { access: [{ type: 'repository', name: 'a', actions: 'pull' }] }, false],
  ['whose actions are numbers', { access: [{ type: 'repository', name: 'a', actions: [7] }] }, false],
] as const)
  test(`a token ${what} is ${holds ? 'good' : 'refused'}`, async () => {
    const text = token(HEADER, { ...CLAIMS, ...claims })
    if (holds) await verifier().verify(text)
    else await refused(text)
  })

test('an algorithm that the configuration leaves out is refused', async () => {
  const narrow = new TokenVerifier({
    keys,
    issuer: 'issuer',
    audience: 'registry',
    algorithms: ['RS256'],
    now: () => NOW,
  })
  await assert.rejects(narrow.verify(good), /algorithm/)
})

forgedTokensSuite('a token verifier', () => ({ claims: CLAIMS, verify: (text) => verifier().verify(text) }))

test('a good token is checked once, remembered until it ends, and refused from then on', async () => {
  const one = verifier()
  const first = await one.verify(good)
  assert.equal(await one.verify(good), first)
  clock.ms = first.expiresAtMs + LEEWAY_MS - 1
  assert.equal(await one.verify(good), first)
  clock.ms = first.expiresAtMs + LEEWAY_MS
  await assert.rejects(one.verify(good), /expired/)
  assert.equal(one.remembered, 0)
})

test('what is remembered is bounded, and what was refused is not remembered', async () => {
  const one = verifier()
  await assert.rejects(one.verify(`${good}A`))
  assert.equal(one.remembered, 0)
  const filler = 'x'.repeat(9_000)
  for (let n = 0; n < 400; n++) await one.verify(token(HEADER, { ...CLAIMS, jti: `${n}`, filler }))
  assert.ok(one.remembered < REMEMBERED_CHARS_MAX / 12_000, String(one.remembered))
  assert.ok(one.remembered > 100)
})

test('the subject is whom the issuer is allowed to mean', async () => {
  const own = new TokenVerifier({
    keys,
    issuer: 'issuer',
    audience: 'registry',
    algorithms: TOKEN_ALGORITHMS,
    now: () => NOW,
    principalOf: (name, { kind }) => (kind === 'user' ? { kind, name } : undefined),
  })
  await assert.rejects(own.verify(good), TokenRefused)
  await own.verify(token(HEADER, { ...CLAIMS, kind: 'user' }))
})

test('a private key in a set verifies, and is not kept', () => {
  const key = publicKeyOf(ours.privateKey.export({ format: 'jwk' }))
  assert.equal(key?.type, 'public')
  assert.equal(publicKeyOf({ kty: 'oct', k: createHash('sha256').digest('base64url') }), undefined)
})
