import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Environment } from './environment.ts'
import { loadConfig } from './load.ts'

const MINIMAL = 'version: 0.1\nstorage: inmemory\n'

async function loadText(text: string | Uint8Array, env: Environment = {}) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stowage-config-'))
  const file = join(folder.path, 'config.yml')
  await writeFile(file, text)
  return await loadConfig({ file, env, cwd: folder.path })
}

const WARNED: readonly (readonly [string, string, Environment, RegExp])[] = [
  [
    'a misspelt key',
    'http: {adr: ":1"}',
    {},
    /^http\.adr is not a key that Stowage knows: did you mean http\.addr\?$/,
  ],
  ['a key in capitals', 'HTTP: {addr: ":1"}', {}, /^HTTP is not a key .*: did you mean http\?$/],
  [
    'a key in the wrong place',
    'http: {clientcas: [/a]}',
    {},
    /^http\.clientcas is not a key .*: did you mean http\.tls\.clientcas\?$/,
  ],
  ['a key like no other', 'ducks: quack', {}, /^ducks is not a key that Stowage knows, and has no effect$/],
  [
    'a misspelt key in a list',
    'health: {tcp: [{addr: "a:1", timout: 1s}]}',
    {},
    /^health\.tcp\[0\]\.timout is not a key .*: did you mean health\.tcp\[0\]\.timeout\?$/,
  ],
  [
    'a misspelt key of a section that would stop the start',
    'proxy: {remoturl: x}',
    {},
    /^proxy\.remoturl is not a key .*: did you mean proxy\.remoteurl\?$/,
  ],
  [
    'a misspelt variable',
    '',
    { REGISTRY_HTTP_ADRR: ':1' },
    /^REGISTRY_HTTP_ADRR is not a variable that Stowage knows: did you mean REGISTRY_HTTP_ADDR\?$/,
  ],
  [
    "a variable of Kubernetes' own",
    '',
    { REGISTRY_PORT: 'tcp://10.0.0.1:5000' },
    /^REGISTRY_PORT is not a variable that Stowage knows, and has no effect$/,
  ],
  [
    'a variable that makes an unknown key',
    '',
    { REGISTRY_STORAGE_DELETE_ENABELD: 'true' },
    /^storage\.delete\.enabeld .* \(set by REGISTRY_STORAGE_DELETE_ENABELD\)$/,
  ],
  ['the version by variable', '', { REGISTRY_VERSION: '2' }, /^REGISTRY_VERSION has no effect/],
  ['redis', 'redis: {addr: "r:6379", password: hunter2, pool: {maxidle: 1}}', {}, /^redis has no effect: /],
  [
    'log hooks',
    'log: {hooks: [{type: mail, options: {smtp: {password: hunter2}}}]}',
    {},
    /^log\.hooks has no effect: /,
  ],
  ['middleware', 'middleware: {storage: [{name: redirect}]}', {}, /^middleware has no effect: /],
  ['HTTP/2 without TLS', 'http: {h2c: {enabled: true}}', {}, /^http\.h2c has no effect: /],
  ['classes of repositories', 'policy: {repository: {classes: [image]}}', {}, /^policy has no effect: /],
  ['reporting', 'reporting: {bugsnag: {apikey: hunter2}}', {}, /^reporting has no effect: /],
  ['compatibility', 'compatibility: {schema1: {enabled: true}}', {}, /^compatibility has no effect: /],
  [
    'authorities without a certificate',
    'http: {tls: {clientcas: [/a]}}',
    {},
    /^http\.tls\.clientcas has no effect/,
  ],
  [
    'a key that is written twice',
    'http:\n  addr: ":1"\n  addr: ":2"',
    {},
    /^addr \(line 5\) is written more than once/,
  ],
]

for (const [what, text, env, message] of WARNED) {
  test(`${what} warns, in one sentence without secrets, and starts`, async () => {
    const { warnings } = await loadText(`${MINIMAL}${text}\n`, env)
    assert.equal(warnings.length, 1, warnings.join('\n'))
    assert.match(warnings[0] ?? '', message)
    assert.doesNotMatch(warnings[0] ?? '', /hunter2/)
  })
}

const QUIET = [
  'http: {tls: {letsencrypt: {hosts: []}}}',
  'notifications: {events: {includereferences: true}, endpoints: []}',
  'notifications: {endpoints: [{name: a, disabled: true, url: "http://a", ignore: {actions: [pull]}}]}',
  'proxy: {ttl: 168h}',
  'validation: {manifests: {indexes: {platforms: list, platformlist: [{architecture: amd64, os: linux}]}}}',
]

for (const text of QUIET) {
  test(`${text} starts without a word`, async () => {
    assert.deepEqual((await loadText(`${MINIMAL}${text}\n`)).warnings, [])
  })
}
