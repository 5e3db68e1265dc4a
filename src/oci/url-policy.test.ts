import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { checkUrls, type UrlPolicy } from '#oci/url-policy.ts'

const base: Descriptor = { mediaType: 'a/b', digest: digestOf(''), size: 0 }
const allow: UrlPolicy = { allow: [/^https:\/\/good\.example\//, /^https:\/\/fine\.example\//], deny: [] }
const deny: UrlPolicy = { allow: [], deny: [/evil/g] }
const both: UrlPolicy = { allow: [/\.example\//], deny: [/evil/] }

const cases: [address: string, policy: UrlPolicy | undefined, ok: boolean][] = [
  ['https://any.example/x', undefined, true],
  ['http://any.example/x', undefined, true],
  ['HTTPS://any.example/x', undefined, true],
  ['ftp://any.example/x', undefined, false],
  ['file:///etc/passwd', undefined, false],
  ['javascript:alert(1)', undefined, false],
  [' https://any.example/x', undefined, false],
  ['https:any.example', undefined, false],
  ['https://', undefined, false],
  ['/relative', undefined, false],
  ['', undefined, false],
  ['https://any.example/x#part', undefined, false],
  ['https://good.example/x', allow, true],
  ['https://fine.example/x', allow, true],
  ['https://other.example/x', allow, false],
  ['ftp://good.example/x', allow, false],
  ['https://good.example/x', deny, true],
  ['https://evil.example/x', deny, false],
  ['https://evil.example/x', both, false],
  ['https://good.example/x', both, true],
]

for (const [address, policy, ok] of cases)
  test(`"${address}" is ${ok ? 'allowed' : 'refused'} by ${policy ? `${policy.allow} not ${policy.deny}` : 'no policy'}`, () => {
    const findings = checkUrls({ ...base, urls: ['https://good.example/', address] }, policy, '/layers/0')
    assert.deepEqual(
      findings.map(({ path }) => path),
      ok ? [] : ['/layers/0/urls/1'],
    )
  })

test('a pattern with a memory of its own judges the same address the same way twice', () => {
  const urls = Array(4).fill('https://evil.example/')
  assert.equal(checkUrls({ ...base, urls }, deny).length, 4)
})

test('a descriptor without urls has nothing to check', () => {
  assert.deepEqual(checkUrls(base, deny), [])
})
