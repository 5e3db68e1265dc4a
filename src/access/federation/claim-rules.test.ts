import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claimsMatch, ruleFault } from '#access/federation/claim-rules.ts'

const GITHUB = 'https://token.actions.githubusercontent.com'
const JOB = {
  sub: 'repo:acme/app:ref:refs/heads/main',
  repository: 'acme/app',
  ref: 'refs/heads/release/1.2',
  run_attempt: 2,
  protected: true,
  environments: ['staging', 'live'],
  'https://example.com/team': 'blue',
  'kubernetes.io': { namespace: 'build', serviceaccount: { name: 'pusher' } },
}

for (const [patterns, matches] of [
  [{ repository: 'acme/app' }, true],
  [{ repository: 'acme/*' }, true],
  [{ repository: 'acme/ap' }, false],
  [{ repository: 'ACME/app' }, false],
  [{ repository: 'acme/app', ref: 'refs/heads/main' }, false],
  [{ ref: 'refs/heads/release/*' }, true],
  [{ ref: 'refs/*' }, false],
  [{ ref: 'refs/**' }, true],
  [{ run_attempt: '2', protected: 'true' }, true],
  [{ environments: 'live' }, true],
  [{ environments: 'li' }, false],
  [{ 'https://example.com/team': 'blue' }, true],
  [{ 'kubernetes.io/namespace': 'build', 'kubernetes.io/serviceaccount/name': 'push*' }, true],
  [{ 'kubernetes.io/serviceaccount': '**' }, false],
  [{ missing: '**' }, false],
  [{ __proto__: '**', constructor: '**' }, false],
  [{ toString: '**' }, false],
] as const)
  test(`${JSON.stringify(patterns)} ${matches ? 'matches' : 'does not match'}`, () => {
    assert.equal(claimsMatch(JOB, patterns as Readonly<Record<string, string>>), matches)
  })

for (const [issuer, claims, fault] of [
  [GITHUB, { repository: 'acme/app' }, undefined],
  [GITHUB, { sub: 'repo:acme/*' }, undefined],
  [GITHUB, { repository: 'acme/*', ref: '**' }, undefined],
  [GITHUB, { repository_owner_id: '123' }, undefined],
  [GITHUB, { sub: 'repo:*' }, /owner/],
  [GITHUB, { sub: 'repo:*/*:ref:refs/heads/main' }, /owner/],
  [GITHUB, { sub: 're*/acme/x' }, /owner/],
  [GITHUB, { repository: '*/app' }, /owner/],
  [GITHUB, { ref: 'refs/heads/main' }, /owner/],
  ['https://gitlab.com', { project_path: 'acme/app', ref: 'main' }, undefined],
  ['https://gitlab.com', { sub: 'project_path:acme/**' }, undefined],
  ['https://gitlab.com', { sub: 'project_path:**' }, /owner/],
  ['https://gitlab.com', { namespace_path: '*' }, /wildcards/],
  ['https://k8s.example', { sub: 'system:serviceaccount:build:*' }, undefined],
  ['https://k8s.example', {}, /wildcards/],
  ['https://k8s.example', { sub: '**' }, /wildcards/],
  ['https://k8s.example', { sub: '?*:*/*' }, /wildcards/],
  ['https://k8s.example', { aud: 'x' }, /iss, aud/],
  ['https://k8s.example', { iss: 'x', sub: 'y' }, /iss, aud/],
  ['https://k8s.example', { sub: '' }, /./],
  [
    'https://k8s.example',
    Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`c${n}`, 'x'])),
    /at most/,
  ],
] as const)
  test(`a rule on ${JSON.stringify(claims).slice(0, 60)} of ${issuer} ${fault ? 'lets strangers in' : 'is good'}`, () => {
    const found = ruleFault(issuer, claims as Readonly<Record<string, string>>)
    if (fault) assert.match(found ?? '', fault)
    else assert.equal(found, undefined)
  })

test('a pattern that could be tried in many ways, and a long claim, take no time', () => {
  const started = performance.now()
  const pattern = `${'**a'.repeat(100)}b`
  assert.equal(claimsMatch({ sub: 'a'.repeat(2_000) }, { sub: pattern }), false)
  assert.equal(claimsMatch({ sub: 'a'.repeat(1_000_000) }, { sub: '**' }), false)
  assert.ok(performance.now() - started < 5_000)
})
