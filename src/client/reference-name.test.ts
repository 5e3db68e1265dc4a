import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatImageName, parseImageName, referenceOf } from '#client/reference-name.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

const good: readonly [string, Record<string, string>][] = [
  ['app', { kind: 'registry', host: 'docker.io', repository: 'library/app' }],
  ['app:1.2', { kind: 'registry', host: 'docker.io', repository: 'library/app', tag: '1.2' }],
  ['team/app', { kind: 'registry', host: 'docker.io', repository: 'team/app' }],
  ['docker.io/app', { kind: 'registry', host: 'docker.io', repository: 'library/app' }],
  ['index.docker.io/team/app', { kind: 'registry', host: 'docker.io', repository: 'team/app' }],
  ['docker://ghcr.io/a/b:c', { kind: 'registry', host: 'ghcr.io', repository: 'a/b', tag: 'c' }],
  ['localhost/app', { kind: 'registry', host: 'localhost', repository: 'app' }],
  ['localhost:5000/app:1', { kind: 'registry', host: 'localhost:5000', repository: 'app', tag: '1' }],
  ['127.0.0.1:5000/a/b/c', { kind: 'registry', host: '127.0.0.1:5000', repository: 'a/b/c' }],
  ['[::1]:5000/app', { kind: 'registry', host: '[::1]:5000', repository: 'app' }],
  ['Registry/app', { kind: 'registry', host: 'Registry', repository: 'app' }],
  ['registry:5000/app', { kind: 'registry', host: 'registry:5000', repository: 'app' }],
  // One part with a colon is a repository with a tag, as docker has it.
  ['registry:5000', { kind: 'registry', host: 'docker.io', repository: 'library/registry', tag: '5000' }],
  [
    `ghcr.io/a/b:v1@${DIGEST}`,
    { kind: 'registry', host: 'ghcr.io', repository: 'a/b', tag: 'v1', digest: DIGEST },
  ],
  [`app@${DIGEST}`, { kind: 'registry', host: 'docker.io', repository: 'library/app', digest: DIGEST }],
  ['oci:./out', { kind: 'layout', path: './out' }],
  ['oci:/srv/out:v1', { kind: 'layout', path: '/srv/out', tag: 'v1' }],
  [`oci:out@${DIGEST}`, { kind: 'layout', path: 'out', digest: DIGEST }],
  ['oci-archive:a.tar:docker.io/library/app:v1', { kind: 'oci-archive', path: 'a.tar', tag: 'v1' }],
  ['docker-archive:a.tar', { kind: 'docker-archive', path: 'a.tar' }],
  [
    'docker-archive:a.tar:example/app:v1',
    { kind: 'docker-archive', path: 'a.tar', imageName: 'example/app', tag: 'v1' },
  ],
  ['docker-archive:a.tar:app', { kind: 'docker-archive', path: 'a.tar', imageName: 'app', tag: 'latest' }],
]

for (const [text, expected] of good) {
  test(`parses ${text}`, () => {
    const name = parseImageName(text)
    assert.deepEqual(name, expected)
    assert.deepEqual(parseImageName(formatImageName(name)), name)
  })
}

const bad = [
  '',
  ':tag',
  'App',
  'team/App',
  'app:',
  'app:-x',
  `app:${'t'.repeat(129)}`,
  'app@sha256:abc',
  'app@md5:d41d8cd98f00b204e9800998ecf8427e',
  'https://ghcr.io/a/b',
  'exa mple.com/app',
  '-bad.example/app',
  'user@host.example/app',
  '../etc/passwd',
  'ghcr.io//app',
  'oci:',
  'oci:dir:not a tag',
  'localhost:5000/',
  `${'a'.repeat(300)}`,
]

for (const text of bad) {
  test(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
    assert.throws(() => parseImageName(text), { name: 'ClientError', kind: 'invalid' })
  })
}

test('a digest decides over a tag, and a registry has a default tag where a folder has none', () => {
  assert.deepEqual(referenceOf(parseImageName(`app:1@${DIGEST}`)), { digest: DIGEST })
  assert.deepEqual(referenceOf(parseImageName('app')), { tag: 'latest' })
  assert.equal(referenceOf(parseImageName('oci:out')), undefined)
})
