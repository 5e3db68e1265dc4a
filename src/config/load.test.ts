import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from './config-error.ts'
import type { Environment } from './environment.ts'
import { loadConfig } from './load.ts'

const MINIMAL = 'version: 0.1\nstorage: inmemory\n'

async function loadText(text: string | Uint8Array, env: Environment = {}) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stowage-config-'))
  const file = join(folder.path, 'config.yml')
  await writeFile(file, text)
  return await loadConfig({ file, env, cwd: folder.path })
}

const fixture = (name: string) => resolve('test/fixtures/config', name)

test("registry:2's shipped file starts, and warns of the descriptor cache alone", async () => {
  const { config, warnings } = await loadConfig({ file: fixture('registry-2.yml'), env: {}, cwd: '/' })
  assert.equal(config.storage.filesystem?.rootdirectory, '/var/lib/registry')
  assert.equal(config.storage.delete.enabled, false)
  assert.equal(config.http.addr, ':5000')
  assert.deepEqual(config.http.headers, { 'X-Content-Type-Options': ['nosniff'] })
  assert.deepEqual(config.health.storagedriver, { enabled: true, intervalMs: 10_000, threshold: 3 })
  assert.deepEqual(config.log.fields, { service: 'registry' })
  assert.deepEqual(warnings.length, 1)
  assert.match(warnings[0] ?? '', /^storage\.cache has no effect: /)
})

test("registry:3's shipped file starts: deleting on, purging off, metrics on the debug address", async () => {
  const { config, warnings } = await loadConfig({ file: fixture('registry-3-dev.yml'), env: {}, cwd: '/' })
  assert.equal(config.storage.delete.enabled, true)
  assert.equal(config.storage.maintenance.uploadpurging.enabled, false)
  assert.equal(config.log.level, 'debug')
  assert.deepEqual(config.http.debug, { addr: ':5001', prometheus: { enabled: true, path: '/metrics' } })
  assert.equal(warnings.length, 1)
})

test("registry:3's example with htpasswd starts", async () => {
  const { config } = await loadConfig({ file: fixture('registry-3-example.yml'), env: {}, cwd: '/' })
  assert.deepEqual(config.auth, { htpasswd: { realm: 'basic-realm', path: '/etc/registry' } })
})

test("registry:3's pull-through cache is refused for the proxy alone: its endpoints are disabled, redis warns", async () => {
  await assert.rejects(
    loadConfig({ file: fixture('registry-3-cache.yml'), env: {}, cwd: '/' }),
    (error) =>
      error instanceof ConfigError &&
      error.problems.length === 1 &&
      /^proxy\.remoteurl makes a pull-through cache/.test(error.problems[0] ?? ''),
  )
})

test('the sample of a single node loads without a warning', async () => {
  const { config, warnings } = await loadConfig({
    file: resolve('config/single-node.yaml'),
    env: {},
    cwd: '/',
  })
  assert.deepEqual(warnings, [])
  assert.equal(config.database.path, '/var/lib/registry/stowage/registry.sqlite')
})

test('the sample with users loads without a warning', async () => {
  const { config, warnings } = await loadConfig({ file: resolve('config/secured.yaml'), env: {}, cwd: '/' })
  assert.deepEqual(warnings, [])
  assert.equal(config.auth.stowage?.projectcreation, 'admins')
  assert.equal(config.quotas.project.bytes, 100 * 1024 ** 3)
})

test('what the sample shows as defaults are the defaults', async () => {
  const { config } = await loadConfig({ file: resolve('config/single-node.yaml'), env: {}, cwd: '/' })
  const bare = await loadText('version: 0.1\nstorage: filesystem\n')
  const { health, log, storage, http, ...rest } = config
  const { debug, headers, ...plainHttp } = http
  assert.deepEqual(rest, {
    version: '0.1',
    database: bare.config.database,
    auth: bare.config.auth,
    outbound: bare.config.outbound,
    validation: bare.config.validation,
    catalog: bare.config.catalog,
    tags: bare.config.tags,
    events: bare.config.events,
    jobs: bare.config.jobs,
    notifications: bare.config.notifications,
    quotas: bare.config.quotas,
    ratelimits: bare.config.ratelimits,
    retention: bare.config.retention,
    scrub: bare.config.scrub,
    webhooks: bare.config.webhooks,
  })
  assert.deepEqual({ ...plainHttp, debug: bare.config.http.debug, headers: {} }, bare.config.http)
  assert.deepEqual(storage.maintenance, bare.config.storage.maintenance)
  assert.deepEqual(storage.filesystem, bare.config.storage.filesystem)
})

test('without a file the built-in configuration runs: ./data, deleting on, port 5000', async () => {
  const { config, source, warnings } = await loadConfig({ env: {}, cwd: '/srv/here' })
  assert.deepEqual(source, { kind: 'built-in' })
  assert.equal(config.storage.filesystem?.rootdirectory, '/srv/here/data')
  assert.equal(config.database.path, '/srv/here/data/stowage/registry.sqlite')
  assert.equal(config.storage.delete.enabled, true)
  assert.equal(config.http.addr, ':5000')
  assert.equal(config.log.accesslog.disabled, false)
  assert.deepEqual(warnings, [])
})

test('REGISTRY_CONFIGURATION_PATH names the file, an argument wins over it, and neither it nor REGISTRY_AUTH_FILE overrides anything', async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'stowage-config-'))
  const folder = temporary.path
  const file = join(folder, 'named.yml')
  await writeFile(file, `${MINIMAL}http: {addr: ":7000"}\n`)
  const env = { REGISTRY_CONFIGURATION_PATH: 'named.yml', REGISTRY_AUTH_FILE: '/run/auth.json' }
  const { config, source, warnings } = await loadConfig({ env, cwd: folder })
  assert.deepEqual([config.http.addr, source, warnings], [':7000', { kind: 'file', path: file }, []])
  assert.equal(config.auth.htpasswd, undefined)
  const other = await loadConfig({ file: fixture('registry-2.yml'), env, cwd: folder })
  assert.equal(other.config.http.addr, ':5000')
})

test('the effective configuration cannot be changed', async () => {
  const { config } = await loadText(MINIMAL)
  assert.ok(Object.isFrozen(config.http.limits) && Object.isFrozen(config.http.trustedproxies))
})

test('a socket needs no port', async () => {
  const { config } = await loadText(`${MINIMAL}http: {net: unix, addr: /run/stowage.sock}\n`)
  assert.equal(config.http.addr, '/run/stowage.sock')
})

test('whatever the environment says, it loads or is refused with a ConfigError', async () => {
  const names = fc.constantFrom(
    'HTTP',
    'HTTP_ADDR',
    'STORAGE',
    'STORAGE_S3',
    'AUTH',
    'AUTH_HTPASSWD_PATH',
    'LOG',
    'LOG_FIELDS_A',
    'HEALTH_HTTP_0_URI',
    'HTTP_HEADERS_X',
    'STORAGE_MAINTENANCE',
    'TAGS',
    'X_Y',
  )
  const values = fc.oneof(
    fc.string(),
    fc.constantFrom('', '~', '{}', '[]', '{a: b}', '[{a: b}]', 'true', '5', 'silly', 'inmemory'),
  )
  await fc.assert(
    fc.asyncProperty(fc.dictionary(names, values, { maxKeys: 5 }), async (set) => {
      const env = Object.fromEntries(Object.entries(set).map(([name, value]) => [`REGISTRY_${name}`, value]))
      try {
        await loadConfig({ env, cwd: '/srv' })
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error))
      }
    }),
    { numRuns: 300 },
  )
})
