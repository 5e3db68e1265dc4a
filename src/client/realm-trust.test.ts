import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback } from '#client/loopback.ts'
import { mayReceiveCredentials } from '#client/realm-trust.ts'

const rule = { allowsPlainHttp: (url: URL) => isLoopback(url.hostname) || url.host === 'registry.lan:5000' }

const cases: readonly [string, string, boolean][] = [
  ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
  ['https://ghcr.io', 'https://ghcr.io/token', true],
  ['https://quay.io', 'https://quay.io/v2/auth', true],
  ['https://eu.gcr.io', 'https://eu.gcr.io/v2/token', true],
  ['https://europe-docker.pkg.dev', 'https://europe-docker.pkg.dev/v2/token', true],
  ['https://public.ecr.aws', 'https://public.ecr.aws/token/', true],
  ['https://team.azurecr.io', 'https://team.azurecr.io/oauth2/token', true],
  ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
  ['https://registry.example.co.uk', 'https://auth.example.co.uk/token', true],
  ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token', true],
  ['http://localhost:5000', 'http://127.0.0.1:5001/token', true],
  ['http://registry.lan:5000', 'http://registry.lan:5001/token', true],
  // Another site, or the same one in plain HTTP.
  ['https://registry.example.com', 'https://evil.example.org/token', false],
  ['https://registry-1.docker.io', 'https://auth.docker.io.evil.net/token', false],
  ['https://registry-1.docker.io', 'https://evildocker.io/token', false],
  ['https://registry-1.docker.io', 'http://auth.docker.io/token', false],
  ['https://registry.example.com', 'http://registry.example.com/token', false],
  ['https://registry.example.com', 'ftp://registry.example.com/token', false],
  // Neighbours who are strangers.
  ['https://mine.azurecr.io', 'https://theirs.azurecr.io/oauth2/token', false],
  ['https://a.github.io', 'https://b.github.io/token', false],
  ['https://a.co.uk', 'https://b.co.uk/token', false],
  ['https://10.0.0.1', 'https://10.0.0.2/token', false],
  ['https://registry', 'https://auth/token', false],
  ['https://registry.example.com', 'http://127.0.0.1:8080/token', false],
]

for (const [registry, realm, expected] of cases) {
  test(`the password for ${registry} ${expected ? 'goes' : 'does not go'} to ${realm}`, () => {
    assert.equal(mayReceiveCredentials(new URL(registry), new URL(realm), rule), expected)
  })
}

test('a host that is trusted by name gets it, over HTTPS alone', () => {
  const trusting = { ...rule, trustedRealmHosts: ['sso.example.org'] }
  const registry = new URL('https://registry.example.com')
  assert.equal(mayReceiveCredentials(registry, new URL('https://sso.example.org/token'), trusting), true)
  assert.equal(mayReceiveCredentials(registry, new URL('http://sso.example.org/token'), trusting), false)
})
