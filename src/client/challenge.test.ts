import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChallenges } from '#client/challenge.ts'

const cases: readonly [string, readonly [string, Record<string, string>][]][] = [
  ['', []],
  ['Basic', [['basic', {}]]],
  ['Basic realm="x"', [['basic', { realm: 'x' }]]],
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      ],
    ],
  ],
  // Several in one header, in any order, with and without parameters.
  [
    'Negotiate, Basic realm="a, b", Bearer realm="https://x/t",service=plain',
    [
      ['negotiate', {}],
      ['basic', { realm: 'a, b' }],
      ['bearer', { realm: 'https://x/t', service: 'plain' }],
    ],
  ],
  // A token68, which is no parameter although it may end in "=".
  [
    'NTLM TlRMTVNTUAAB==, Basic realm="x"',
    [
      ['ntlm', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  // A word that looks like a challenge inside a quoted string is none.
  [
    'Bearer realm="say \\"Basic realm=evil\\", please"',
    [['bearer', { realm: 'say "Basic realm=evil", please' }]],
  ],
  // Spaces around "=", empty list members, unknown case.
  ['BEARER  Realm = "x" ,, service= y , ', [['bearer', { realm: 'x', service: 'y' }]]],
  // The first of two equal parameters counts.
  ['Bearer realm="first",realm="second"', [['bearer', { realm: 'first' }]]],
  // An unquoted URL, as some registries write it.
  ['Bearer realm=https://x/token,service=s', [['bearer', { realm: 'https://x/token', service: 's' }]]],
  // What cannot be read does not hide what can.
  [
    '"junk" ; Basic realm="x"',
    [
      ['junk', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
]

for (const [header, expected] of cases) {
  test(`reads ${JSON.stringify(header)}`, () => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => [scheme, { ...parameters }])
    assert.deepEqual(found, expected)
  })
}

test('a header that is made to be slow is read in time', () => {
  for (const evil of [
    'a="\\'.repeat(200_000),
    ','.repeat(200_000),
    'a '.repeat(100_000),
    `B ${'a='.repeat(100_000)}`,
  ]) {
    parseChallenges(evil)
  }
})
