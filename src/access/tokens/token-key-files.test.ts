import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { KEY_FILE_BYTES_MAX, KEYS_MAX, readKeyFiles } from '#access/tokens/token-key-files.ts'
import { libtrustId, thumbprint } from '#access/tokens/token-keys.ts'

const folder = mkdtempSync(join(tmpdir(), 'keys-'))
after(() => rmSync(folder, { recursive: true }))

function written(name: string, content: string | object): string {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

function selfSigned(name: string): string {
  const to = join(folder, `${name}.crt`)
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, `${name}.key`)]
  execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`, '-out', to], {
    stdio: 'ignore',
  })
  return readFileSync(to, 'utf8')
}

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = publicKey.export({ format: 'jwk' })

test('the keys of a JWKS are found by their ids and thumbprints; what cannot verify is passed over', async () => {
  const jwks = written('jwks.json', {
    keys: [
      { ...jwk, kid: 'a', alg: 'ES256' },
      { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: 'b', use: 'sig' },
      { ...privateKey.export({ format: 'jwk' }), kid: 'private' },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'shared' },
      { ...jwk, kid: 'for encryption', use: 'enc' },
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'not on the curve' },
      { kid: 'nothing' },
      null,
      'x',
    ],
  })
  const ring = await readKeyFiles({ jwks })
  const find = (kid: string) => ring.find({ kid }, 0)
  assert.ok(find('a')?.key.equals(publicKey))
  assert.equal(find('a')?.algorithm, 'ES256')
  assert.ok(find('b'))
  assert.equal(find('private')?.key.type, 'public')
  assert.ok(find(thumbprint(publicKey)))
  for (const kid of ['shared', 'for encryption', 'not on the curve', 'nothing'])
    assert.equal(find(kid), undefined)
})

test("the keys of a bundle's certificates are found by thumbprint and by libtrust's id", async () => {
  const [one, two] = [selfSigned('one'), selfSigned('two')]
  const ring = await readKeyFiles({ rootCertBundle: written('bundle.pem', `one\n${one}\r\n# two\n${two}`) })
  for (const pem of [one, two]) {
    const key = new X509Certificate(pem).publicKey
    for (const kid of [thumbprint(key), libtrustId(key)]) assert.ok(ring.find({ kid }, 0)?.key.equals(key))
  }
})

test("libtrust's id is base32 of the first 240 bits of the hash of the key", () => {
  const hash = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
  const bits = [...hash.subarray(0, 30)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const letters = (bits.match(/.{5}/g) ?? []).map(
    (five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)],
  )
  assert.equal(libtrustId(publicKey).replaceAll(':', ''), letters.join(''))
})

for (const [what, files, wrong] of [
  ['a missing file', { jwks: join(folder, 'missing') }, /ENOENT.*missing/],
  ['no JSON', { jwks: written('no-json', '{') }, /no-json is not JSON/],
  ['no set', { jwks: written('no-set', { keys: 1 }) }, /no-set is no JWKS/],
  ['an empty set', { jwks: written('empty', { keys: [] }) }, /empty hold no public key/],
  [
    'too many keys',
    { jwks: written('many', { keys: Array(KEYS_MAX + 1).fill(jwk) }) },
    /many holds more than/,
  ],
  ['a large file', { jwks: written('large', ' '.repeat(KEY_FILE_BYTES_MAX + 1)) }, /large is larger than/],
  ['an endless file', { jwks: '/dev/zero' }, /zero is larger than/],
  ['no PEM', { rootCertBundle: written('no-pem', 'x') }, /no-pem holds no certificate/],
  [
    'a broken certificate',
    { rootCertBundle: written('broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----') },
    /broken: certificate 1 cannot be read/,
  ],
] as const)
  test(`${what} is an error that names the file`, async () => {
    await assert.rejects(readKeyFiles(files), wrong)
  })
