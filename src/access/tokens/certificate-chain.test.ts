import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CertificateBundle, CHAIN_CERTIFICATES_MAX } from '#access/tokens/certificate-chain.ts'

const folder = mkdtempSync(join(tmpdir(), 'chain-'))
after(() => rmSync(folder, { recursive: true }))
const file = (name: string) => join(folder, name)

/** A certificate by that name, signed by the issuer or, without one, by itself. */
function certificate(
  name: string,
  issuer: string | undefined,
  extensions: string,
  days = 30,
): X509Certificate {
  const newKey = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    file(`${name}.key`),
  ]
  execFileSync('openssl', ['req', '-new', ...newKey, '-subj', `/CN=${name}`, '-out', file(`${name}.csr`)], {
    stdio: 'ignore',
  })
  writeFileSync(file(`${name}.ext`), extensions)
  const by = issuer
    ? ['-CA', file(`${issuer}.crt`), '-CAkey', file(`${issuer}.key`), '-CAcreateserial']
    : ['-signkey', file(`${name}.key`)]
  const signing = [
    '-req',
    '-days',
    String(days),
    '-in',
    file(`${name}.csr`),
    '-extfile',
    file(`${name}.ext`),
    ...by,
  ]
  execFileSync('openssl', ['x509', ...signing, '-out', file(`${name}.crt`)], { stdio: 'ignore' })
  return new X509Certificate(readFileSync(file(`${name}.crt`)))
}

const AUTHORITY = 'basicConstraints=critical,CA:true\nkeyUsage=keyCertSign\n'
const LEAF = 'basicConstraints=critical,CA:false\n'
const root = certificate('root', undefined, AUTHORITY)
const middle = certificate('middle', 'root', AUTHORITY)
const leaf = certificate('leaf', 'middle', LEAF, 10)
const underLeaf = certificate('under-leaf', 'leaf', LEAF)
const strangerRoot = certificate('stranger-root', undefined, AUTHORITY)
const stranger = certificate('stranger', 'stranger-root', LEAF)
// The same name as an authority of ours, and another key.
const impostorRoot = (() => {
  const ours = readFileSync(file('root.key'))
  const made = certificate('root', undefined, AUTHORITY)
  writeFileSync(file('root.key'), ours)
  return made
})()

const bundle = new CertificateBundle([root])
const DAY_MS = 86_400_000
const now = Date.now()
const x5c = (...chain: X509Certificate[]) => chain.map(({ raw }) => raw.toString('base64'))

const sameKey = (key: KeyObject | undefined, of: X509Certificate) =>
  key?.equals(of.publicKey) ?? assert.fail('no key was found')

test('a chain that leads to a certificate of the bundle gives the key of its first certificate', () => {
  assert.ok(sameKey(bundle.leafKey(x5c(leaf, middle), now), leaf))
  assert.ok(sameKey(bundle.leafKey(x5c(leaf, middle, root), now), leaf), 'with the root along')
  assert.ok(sameKey(bundle.leafKey(x5c(middle), now), middle), 'issued by the root itself')
  assert.ok(sameKey(bundle.leafKey(x5c(root), now), root), 'the root itself')
  assert.ok(
    sameKey(bundle.leafKey(x5c(leaf, middle, strangerRoot), now), leaf),
    'with something else behind it',
  )
  assert.ok(
    sameKey(new CertificateBundle([leaf]).leafKey(x5c(leaf), now), leaf),
    'a certificate that signs for itself',
  )
})

for (const [what, chain, at] of [
  ['without its middle', x5c(leaf), now],
  ['of a stranger', x5c(stranger, strangerRoot), now],
  ['of a stranger with our root behind it', x5c(stranger, strangerRoot, root), now],
  ['below a root that has the name of ours', x5c(impostorRoot), now],
  ['below a certificate that is no authority', x5c(underLeaf, leaf, middle), now],
  ['whose first certificate has expired', x5c(leaf, middle), now + 11 * DAY_MS],
  ['whose root has expired', x5c(middle), now + 31 * DAY_MS],
  ['that is not valid yet', x5c(leaf, middle), now - DAY_MS],
  ['that is empty', [], now],
  [
    'that is longer than is read',
    x5c(...Array.from({ length: CHAIN_CERTIFICATES_MAX }, () => leaf), middle),
    now,
  ],
  ['with something that is no certificate', [...x5c(leaf), 'AAAA'], now],
  ['with PEM in it', [leaf.toString()], now],
  ['with a number in it', [7], now],
  ['that is a text', leaf.raw.toString('base64'), now],
  ['that is nothing', null, now],
] as const)
  test(`a chain ${what} gives no key`, () => {
    assert.equal(bundle.leafKey(chain, at), undefined)
  })

test('no bundle at all believes no chain', () => {
  assert.equal(new CertificateBundle([]).leafKey(x5c(root), now), undefined)
})
