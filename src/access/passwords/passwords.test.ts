import assert from 'node:assert/strict'
import { test } from 'node:test'
import bcrypt from 'bcrypt'
import {
  checkPassword,
  DECOY_HASH,
  hashPassword,
  passwordFault,
  randomPassword,
} from '#access/passwords/passwords.ts'

test('a password belongs to its own hash and to no other, and no two hashes are alike', async () => {
  const [one, two] = await Promise.all([hashPassword('correct horse'), hashPassword('correct horse')])
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  assert.notEqual(one, two)
  assert.equal(await checkPassword('correct horse', one), true)
  assert.equal(await checkPassword('correct horse', two), true)
  assert.equal(await checkPassword('correct horsf', one), false)
  assert.equal(await checkPassword('correct horse', DECOY_HASH), false)
})

test('a hash of another program is read: argon2id with other costs, bcrypt', async () => {
  // A test vector of the reference implementation (phc-winner-argon2, src/test.c).
  const vector = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  assert.equal(await checkPassword('password', vector), true)
  assert.equal(await checkPassword('Password', vector), false)
  const hashed = bcrypt.hashSync('from htpasswd', 4)
  assert.equal(await checkPassword('from htpasswd', hashed), true)
  assert.equal(await checkPassword('from htpasswd', hashed.replace('$2b$', '$2y$')), true)
  assert.equal(await checkPassword('another', hashed), false)
})

test('an accent typed on one system is the same as on another', async () => {
  assert.equal(
    await checkPassword('caf\u0065\u0301-caf\u00e9', await hashPassword('caf\u00e9-caf\u00e9')),
    true,
  )
})

test('what cannot be a hash, or would take all memory, matches nothing', async () => {
  const hashed = await hashPassword('password of mine')
  for (const broken of [
    '',
    'plain',
    hashed.slice(0, -8),
    hashed.replace('argon2id', 'argon2i'),
    hashed.replace('m=19456', 'm=9999999'),
    hashed.replace('t=2', 't=999'),
    hashed.replace('p=1', 'p=0'),
    '$2b$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234',
  ]) {
    assert.equal(await checkPassword('password of mine', broken), false, broken)
  }
})

test('a password that is short, endless or known to everybody is refused (GHSA-j7jh-fmcm-xxwv, CVE-2026-4404)', () => {
  for (const bad of ['', 'short', 'x'.repeat(257), 'Harbor12345', 'changeme', 'PASSWORD']) {
    assert.ok(passwordFault(bad), bad)
  }
  assert.equal(passwordFault('tr0ub4dor & 3'), undefined)
  assert.equal(passwordFault(randomPassword()), undefined)
  assert.notEqual(randomPassword(), randomPassword())
})
