import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Federation, isIdentityToken } from '#access/federation/federation.ts'
import { forgedTokensSuite, HEADER, keys, NOW, seconds, token } from '#access/tokens/forged-tokens.suite.ts'
import { TokenRefused } from '#access/tokens/signed-claims.ts'
import type { Db } from '#db/db.ts'
import { openSqlite } from '#db/sqlite.ts'
import { silentLog } from '#telemetry/log.ts'

let db: Db
before(async () => {
  db = await openSqlite({})
})
after(() => db.close())

const ISSUER = 'https://ci.example'
const CLAIMS = { iss: ISSUER, sub: 'job', aud: 'registry', exp: seconds + 300, iat: seconds, nbf: seconds }
const HOUR_MS = 3_600_000

function federation(now = NOW): Federation {
  return new Federation({
    db,
    issuers: [
      {
        name: 'ci',
        issuer: ISSUER,
        audience: 'registry',
        keys: { find: async (hint, at) => keys.find(hint, at) },
      },
      {
        name: 'other',
        issuer: 'https://other.example',
        audience: 'registry',
        keys: { find: async () => undefined },
      },
    ],
    rules: [],
    ageMsMax: HOUR_MS,
    log: silentLog(),
    now: () => now,
  })
}

forgedTokensSuite('the federation of jobs', () => ({
  claims: CLAIMS,
  verify: (text) => federation().verify(text),
}))

test('a token of an issuer that is not listed, or signed by the keys of another one, is refused', async () => {
  for (const iss of [
    'https://evil.example',
    `${ISSUER}/`,
    'https://CI.example',
    '',
    undefined,
    null,
    [ISSUER],
    {},
  ])
    await assert.rejects(federation().verify(token(HEADER, { ...CLAIMS, iss })), /not listed/)
  const other = token(HEADER, { ...CLAIMS, iss: 'https://other.example' })
  await assert.rejects(federation().verify(other), /not trusted/)
})

test('a token that was issued long ago is refused, however long it is good for', async () => {
  const long = token(HEADER, { ...CLAIMS, exp: seconds + 10 * 24 * 3_600 })
  await federation(NOW + HOUR_MS).verify(long)
  await assert.rejects(federation(NOW + HOUR_MS + 61_000).verify(long), TokenRefused)
})

test('passwords are not taken for tokens', () => {
  assert.ok(isIdentityToken(token(HEADER, CLAIMS)))
  for (const text of ['stw_r_abc', 'a.b.c', 'correct horse', 'eyJ', 'eyJ.eyJ', ''])
    assert.ok(!isIdentityToken(text), text)
})
