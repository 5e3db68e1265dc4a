import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Environment } from './environment.ts'
import { loadConfig } from './load.ts'
import { renderConfig } from './render.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-render-'))
})
after(() => rm(folder, { recursive: true }))

async function again(printed: string) {
  const file = join(folder, 'printed.yml')
  await writeFile(file, printed)
  return loadConfig({ file, env: {}, cwd: '/elsewhere' })
}

const CASES: Readonly<Record<string, Environment>> = {
  'the built-in configuration': {},
  'one in memory': { REGISTRY_STORAGE: 'inmemory' },
  'one with lists, mappings, odd texts and odd durations': {
    REGISTRY_AUTH: 'htpasswd',
    REGISTRY_AUTH_HTPASSWD_PATH: 'users',
    REGISTRY_AUTH_HTPASSWD_REALM: '"true: # no"',
    REGISTRY_LOG_FIELDS: '{a: "null", b: "", c: "0123"}',
    REGISTRY_HTTP_HEADERS: '{X-A: ["1", "two: three"]}',
    REGISTRY_HTTP_DRAINTIMEOUT: '1ms1ns',
    REGISTRY_HTTP_RELATIVEURLS: 'off',
    REGISTRY_HTTP_TRUSTEDPROXIES: '[]',
    REGISTRY_HEALTH_TCP: '[{addr: "db:1"}, {addr: "db:2", timeout: 90s}]',
  },
}

test('a password of the database is never printed', async () => {
  const env = {
    REGISTRY_DATABASE_URL: 'postgres://stowage:hunter2@db:5432/stowage',
    REGISTRY_STORAGE: 'filesystem',
  }
  const { config } = await loadConfig({ env, cwd: '/srv' })
  assert.match(config.database.url ?? '', /hunter2/)
  const printed = renderConfig(config)
  assert.doesNotMatch(printed, /hunter2/)
  assert.match(printed, /url:/)
})

for (const [what, env] of Object.entries(CASES)) {
  test(`${what}: what is printed loads to the same configuration, without a warning`, async () => {
    const { config } = await loadConfig({ env, cwd: '/srv' })
    const reloaded = await again(renderConfig(config))
    assert.deepEqual(reloaded.config, config)
    assert.deepEqual(reloaded.warnings, [])
  })
}

test('secrets are masked, and paths and defaults are shown', async () => {
  const env = {
    REGISTRY_HTTP_SECRET: 'hunter2',
    REGISTRY_REDIS_PASSWORD: 'hunter2',
    REGISTRY_REDIS_ADDR: 'r:6379',
    REGISTRY_HEALTH_HTTP: '[{uri: "http://a/", headers: {Authorization: [hunter2]}}]',
  }
  const { config } = await loadConfig({ env, cwd: '/srv' })
  const printed = renderConfig(config)
  assert.doesNotMatch(printed, /hunter2/)
  assert.match(printed, /^ {2}secret: "\*{8}"$/m)
  assert.match(printed, /^ {4}rootdirectory: \/srv\/data$/m)
  assert.match(printed, /^ {2}draintimeout: 10s$/m)
})
