// registry:2's variables find their keys. The rules themselves are tested in lib/environment-override.test.ts.
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

// Each expectation was compared with the parser of distribution 3.1.1; where ours goes further, the line says so.
const OVERRIDES: readonly (readonly [string, Environment, readonly string[], unknown, string?])[] = [
  [MINIMAL, { REGISTRY_HTTP_ADDR: ':6000' }, ['http', 'addr'], ':6000'],
  [`${MINIMAL}http: {addr: ":1"}\n`, { REGISTRY_HTTP_ADDR: '' }, ['http', 'addr'], ':5000'],
  [MINIMAL, { REGISTRY_HTTP_SECRET: '0123' }, ['http', 'secret'], '0123'],
  [MINIMAL, { REGISTRY_HTTP_DRAINTIMEOUT: '1000000000' }, ['http', 'draintimeoutMs'], 1000],
  [MINIMAL, { REGISTRY_HTTP_RELATIVEURLS: 'yes' }, ['http', 'relativeurls'], true],
  [MINIMAL, { REGISTRY_HTTP: '{addr: ":7", net: tcp}', REGISTRY_HTTP_ADDR: ':8' }, ['http', 'addr'], ':8'],
  [MINIMAL, { REGISTRY_HTTP_HEADERS: '{X-Baz: [q]}' }, ['http', 'headers'], { 'X-Baz': ['q'] }],
  [
    `${MINIMAL}http: {headers: {X-Foo: [a]}}\n`,
    { 'REGISTRY_HTTP_HEADERS_X-BAR': '[b]' },
    ['http', 'headers'],
    { 'X-Foo': ['a'], 'x-bar': ['b'] },
  ],
  [MINIMAL, { REGISTRY_HTTP_TLS_CLIENTCAS: '[/a, /b]' }, ['http', 'tls', 'clientcas'], ['/a', '/b']],
  [
    MINIMAL,
    { REGISTRY_HTTP_TLS_CLIENTCAS_0: '/a' },
    ['http', 'tls', 'clientcas'],
    ['/a'],
    'upstream appends an empty text',
  ],
  [
    MINIMAL,
    {
      REGISTRY_AUTH: 'htpasswd',
      REGISTRY_AUTH_HTPASSWD_PATH: '/p',
      REGISTRY_AUTH_HTPASSWD_REALM: 'Registry Realm',
    },
    ['auth'],
    { htpasswd: { realm: 'Registry Realm', path: '/p' } },
  ],
  [MINIMAL, { REGISTRY_AUTH_HTPASSWD_PATH: '/p' }, ['auth'], { htpasswd: { realm: 'Stowage', path: '/p' } }],
  [
    `${MINIMAL}auth: {silly: {realm: r, service: s}}\n`,
    { REGISTRY_AUTH: 'htpasswd', REGISTRY_AUTH_HTPASSWD_PATH: '/p' },
    ['auth', 'silly'],
    undefined,
  ],
  [MINIMAL, { REGISTRY_AUTH: 'none' }, ['auth'], {}],
  [
    'version: 0.1\nstorage: {filesystem: {rootdirectory: /a}, delete: {enabled: true}}\n',
    { REGISTRY_STORAGE: 'filesystem', REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/b' },
    ['storage', 'delete', 'enabled'],
    false,
  ],
  [
    'version: 0.1\nstorage: {filesystem: {rootdirectory: /a}}\n',
    { REGISTRY_STORAGE_FILESYSTEM: '{rootdirectory: /x}' },
    ['storage', 'filesystem'],
    { rootdirectory: '/x' },
  ],
  [
    'version: 0.1\n',
    { REGISTRY_STORAGE: '{filesystem: {rootdirectory: /x}}' },
    ['storage', 'filesystem'],
    { rootdirectory: '/x' },
  ],
  ['version: 0.1\nstorage:\n  inmemory:\n', {}, ['storage', 'inmemory'], {}],
  [MINIMAL, { REGISTRY_STORAGE_DELETE_ENABLED: 'true' }, ['storage', 'delete', 'enabled'], true],
  [
    MINIMAL,
    { REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled":true}' },
    ['storage', 'maintenance', 'readonly'],
    { enabled: true },
  ],
  [
    MINIMAL,
    { REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' },
    ['storage', 'maintenance', 'readonly'],
    { enabled: true },
    'upstream then refuses to start',
  ],
  [
    'version: 0.1\nstorage: {inmemory: {}, maintenance: {readonly: {enabled: false}}}\n',
    { REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' },
    ['storage', 'maintenance', 'readonly'],
    { enabled: true },
    'upstream ignores it',
  ],
  [
    MINIMAL,
    { REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE: '1h' },
    ['storage', 'maintenance', 'uploadpurging', 'ageMs'],
    3_600_000,
    'upstream panics',
  ],
  [
    MINIMAL,
    { REGISTRY_HEALTH_FILECHECKERS_0_FILE: '/x' },
    ['health', 'file'],
    [{ file: '/x', intervalMs: 10_000, threshold: 1 }],
  ],
  [
    MINIMAL,
    { REGISTRY_HEALTH_FILE_0_FILE: '/x' },
    ['health', 'file'],
    [{ file: '/x', intervalMs: 10_000, threshold: 1 }],
    "upstream knows the field's name alone",
  ],
  [
    `${MINIMAL}log: {fields: {service: r}}\n`,
    { REGISTRY_LOG_FIELDS_ENVIRONMENT: 'prod', REGISTRY_LOG_FIELDS_SERVICE: '5' },
    ['log', 'fields'],
    { service: '5', environment: 'prod' },
  ],
  [`${MINIMAL}loglevel: debug\n`, { REGISTRY_LOGLEVEL: 'WARN' }, ['log', 'level'], 'warn'],
  [`${MINIMAL}loglevel: debug\nlog: {level: error}\n`, {}, ['log', 'level'], 'error'],
  [
    MINIMAL,
    { REGISTRY_HTTP_DEBUG_ADDR: ':5001', REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED: 'true' },
    ['http', 'debug'],
    { addr: ':5001', prometheus: { enabled: true, path: '/metrics' } },
  ],
  [
    MINIMAL,
    { REGISTRY_CATALOG_MAXENTRIES: '-5', REGISTRY_TAGS_MAXTAGS: '0' },
    ['catalog', 'maxentries'],
    1000,
  ],
  [`${MINIMAL}validation: {enabled: true, disabled: true}\n`, {}, ['validation', 'disabled'], false],
  [
    `${MINIMAL}http: {prefix: registry}\n`,
    {},
    ['http', 'prefix'],
    '/registry/',
    'upstream wants the slashes written',
  ],
]

for (const [text, env, path, expected, note] of OVERRIDES) {
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const title = `${[...set, text.split('\n').slice(1).join(' ').trim()].join(' with ')}: ${path.join('.')}`
  test(note === undefined ? title : `${title} (${note})`, async () => {
    const { config } = await loadText(text, env)
    const found = path.reduce<unknown>((value, key) => Reflect.get(Object(value), key), config)
    assert.deepEqual(found, expected)
  })
}
