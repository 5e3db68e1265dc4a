import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyFor } from '#client/proxy-choice.ts'

const options = { http: 'http://plain.proxy:3128', https: 'secure.proxy:3128' }

const cases: readonly [string, string, string | undefined][] = [
  ['https://ghcr.io/v2/', '', 'http://secure.proxy:3128'],
  ['http://registry.lan/v2/', '', 'http://plain.proxy:3128'],
  ['https://localhost:5000/v2/', '', undefined],
  ['https://127.0.0.1:5000/v2/', '', undefined],
  ['https://ghcr.io/v2/', '*', undefined],
  ['https://ghcr.io/v2/', 'example.com, ghcr.io', undefined],
  ['https://pkg.ghcr.io/v2/', 'ghcr.io', undefined],
  ['https://pkg.ghcr.io/v2/', '.ghcr.io', undefined],
  ['https://pkg.ghcr.io/v2/', '*.ghcr.io', undefined],
  ['https://notghcr.io/v2/', 'ghcr.io', 'http://secure.proxy:3128'],
  ['https://ghcr.io/v2/', 'ghcr.io:443', undefined],
  ['https://ghcr.io/v2/', 'ghcr.io:8443', 'http://secure.proxy:3128'],
  ['https://10.1.2.3/v2/', '10.0.0.0/8', undefined],
  ['https://11.1.2.3/v2/', '10.0.0.0/8', 'http://secure.proxy:3128'],
  ['https://[fd00::1]/v2/', 'fd00::/8', undefined],
  ['https://10.1.2.3/v2/', '10.1.2.3', undefined],
  ['https://10.1.2.3/v2/', '10.0.0.0/99', 'http://secure.proxy:3128'],
]

for (const [url, noProxy, expected] of cases) {
  test(`${url} with no_proxy "${noProxy}" goes ${expected ? 'through a proxy' : 'directly'}`, () => {
    assert.equal(proxyFor(new URL(url), { ...options, noProxy }), expected)
  })
}

test('without a proxy everything goes directly', () => {
  assert.equal(proxyFor(new URL('https://ghcr.io/'), {}), undefined)
})
