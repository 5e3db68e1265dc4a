import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type CertificateNames,
  type CertificateRule,
  principalOf,
} from '#access/certificates/certificate-rules.ts'

const NOBODY: CertificateNames = { commonNames: [], dns: [], emails: [], uris: [] }
const RULES: readonly CertificateRule[] = [
  { from: 'uri', pattern: 'spiffe://example.org/ns/build/*', account: 'team+ci' },
  { from: 'dns', pattern: '*.edge.example', account: '+edge' },
  { from: 'email', pattern: '*@example.com', account: 'mail' },
  { from: 'cn', pattern: '*', account: '{name}' },
]

for (const [what, names, expected] of [
  ['a SPIFFE id', { uris: ['spiffe://example.org/ns/build/job'] }, 'team+ci'],
  ['a SPIFFE id of a deeper path', { uris: ['spiffe://example.org/ns/build/a/b'] }, undefined],
  ['a SPIFFE id of another trust domain', { uris: ['spiffe://evil.example/ns/build/job'] }, undefined],
  ['two URIs', { uris: ['spiffe://example.org/ns/build/job', 'spiffe://x/y'] }, undefined],
  ['a host, among others', { dns: ['a', 'one.edge.example'] }, '+edge'],
  ['an address of mail', { emails: ['ann@example.com'] }, 'mail'],
  ['a common name', { commonNames: ['ann'] }, 'ann'],
  ['two common names', { commonNames: ['ann', 'admin'] }, undefined],
  ['a common name that is a robot', { commonNames: ['team+ci'] }, 'team+ci'],
  ['a common name that is no name here', { commonNames: ['Ann Smith'] }, undefined],
  ['a common name with more than a name', { commonNames: ['admin\u0000.example'] }, undefined],
  ['a common name that looks like a placeholder', { commonNames: ['$&'] }, undefined],
  ['nothing', {}, undefined],
] as const)
  test(`${what} speaks for ${expected ?? 'nobody'}`, () => {
    const principal = principalOf({ ...NOBODY, ...names }, RULES)
    assert.equal(principal?.kind === 'anonymous' ? undefined : principal?.name, expected)
  })
