import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
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

async function problemsOf(text: string | Uint8Array, env: Environment = {}): Promise<readonly string[]> {
  try {
    await loadText(text, env)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    for (const problem of error.problems) assert.ok(error.message.includes(problem))
    return error.problems
  }
  return []
}

const S3 = 'version: 0.1\nstorage: {s3: {bucket: b, region: r, rootdirectory: /a/}}\n'

const REFUSED: readonly (readonly [string, string, Environment, RegExp])[] = [
  ['no version', 'storage: inmemory\n', {}, /^version is missing: the file must say version: 0\.1$/],
  ['another version', 'version: 0.10\nstorage: inmemory\n', {}, /^version must be one of 0\.1, not "0\.10"$/],
  ['an empty file', '', {}, /^version is missing/],
  ['a list', '- a\n', {}, /must be a mapping of keys/],
  ['no storage', 'version: 0.1\n', {}, /^storage names no storage driver/],
  ['s3 without a region', S3.replace('region: r, ', ''), {}, /^storage\.s3\.region is missing/],
  ['s3 without a place for the facts', S3, {}, /^database\.path is missing: with storage\.s3/],
  [
    's3 with half of a key',
    `${S3}database: {path: p}\n`,
    { REGISTRY_STORAGE_S3_ACCESSKEY: 'a' },
    /^storage\.s3\.secretkey is missing/,
  ],
  ['s3 with parts too small', S3.replace('}}', ', chunksize: 1000}}'), {}, /^storage\.s3\.chunksize must be/],
  ['s3 with old signatures', S3.replace('}}', ', v4auth: false}}'), {}, /^storage\.s3\.v4auth must be true/],
  [
    's3 with a class that cannot be read at once',
    S3.replace('}}', ', storageclass: GLACIER}}'),
    {},
    /^storage\.s3\.storageclass must be one of/,
  ],
  [
    's3 at no address',
    S3.replace('}}', ', regionendpoint: "a b"}}'),
    {},
    /^storage\.s3\.regionendpoint must be an address/,
  ],
  [
    's3 by variable',
    MINIMAL,
    { REGISTRY_STORAGE: 's3' },
    /^storage\.s3\.bucket is missing.* \(set by REGISTRY_STORAGE\)$/,
  ],
  [
    's3 beside another driver',
    'version: 0.1\nstorage: filesystem\n',
    { REGISTRY_STORAGE_S3_BUCKET: 'b' },
    /^storage names 2 storage drivers \(filesystem, s3\)/,
  ],
  [
    'a driver that nobody knows',
    'version: 0.1\nstorage: fileystem\n',
    {},
    /^storage\.fileystem is not a storage driver that Stowage knows: did you mean storage\.filesystem\?$/,
  ],
  [
    'tokens that nobody could issue',
    `${MINIMAL}auth: {token: {realm: 'https://a/t', service: r, issuer: i}}\n`,
    {},
    /^auth\.token names no keys/,
  ],
  [
    'tokens without the place to get them',
    `${MINIMAL}auth: {token: {service: r, issuer: i, jwks: k}}\n`,
    {},
    /^auth\.token\.realm is missing/,
  ],
  [
    'tokens for nobody',
    `${MINIMAL}auth: {token: {realm: 'https://a/t', issuer: i, jwks: k, service: ''}}\n`,
    {},
    /^auth\.token\.service is missing/,
  ],
  [
    'tokens of anybody',
    `${MINIMAL}auth: {token: {realm: 'https://a/t', service: r, rootcertbundle: k}}\n`,
    {},
    /^auth\.token\.issuer is missing/,
  ],
  [
    'tokens that shared secrets sign',
    `${MINIMAL}auth: {token: {realm: 'https://a/t', service: r, issuer: i, jwks: k}}\n`,
    { REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS: '[HS256]' },
    /^auth\.token\.signingalgorithms names only shared secrets.* \(set by REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS\)$/,
  ],
  [
    'tokens that nothing signs',
    `${MINIMAL}auth: {token: {realm: 'https://a/t', service: r, issuer: i, jwks: k, signingalgorithms: [none]}}\n`,
    {},
    /^auth\.token\.signingalgorithms\[0\] must be an algorithm/,
  ],
  [
    'two kinds of authentication',
    `${MINIMAL}auth: {silly: {realm: r}}\n`,
    { REGISTRY_AUTH_HTPASSWD_PATH: '/p' },
    /^auth names 2 kinds of authentication \(silly, htpasswd\)/,
  ],
  [
    'a misspelt kind of authentication',
    `${MINIMAL}auth: {htpaswd: {path: /p}}\n`,
    {},
    /^auth\.htpaswd is not a kind of authentication that Stowage knows: did you mean auth\.htpasswd\?$/,
  ],
  ['htpasswd without its file', `${MINIMAL}auth: htpasswd\n`, {}, /^auth\.htpasswd\.path is missing/],
  [
    'a proxy',
    MINIMAL,
    { REGISTRY_PROXY_REMOTEURL: 'https://registry-1.docker.io' },
    /^proxy\.remoteurl makes a pull-through cache/,
  ],
  [
    'notifications to nowhere',
    `${MINIMAL}notifications: {endpoints: [{name: a, disabled: true}, {name: b}]}\n`,
    {},
    /^notifications\.endpoints\[1\]\.url is missing/,
  ],
  [
    'two endpoints of one name',
    `${MINIMAL}notifications: {endpoints: [{name: a, url: "http://a"}, {name: a, url: "http://b"}]}\n`,
    {},
    /^notifications\.endpoints\[1\]\.name is the name of another endpoint/,
  ],
  [
    "Let's Encrypt",
    `${MINIMAL}http: {tls: {letsencrypt: {hosts: [a.example.com]}}}\n`,
    {},
    /^http\.tls\.letsencrypt is not available/,
  ],
  [
    'a database of another kind',
    `${MINIMAL}database: {url: "mysql://u:hunter2@db/x"}\n`,
    {},
    /^database\.url must be an address such as postgres:/,
  ],
  [
    'a PostgreSQL for blobs in memory',
    'version: 0.1\nstorage: {inmemory: {}}\ndatabase: {url: "postgres://u:hunter2@db/x"}\n',
    {},
    /^database\.url is of no use with storage\.inmemory/,
  ],
  [
    'a certificate without a key',
    `${MINIMAL}http: {tls: {certificate: c.pem}}\n`,
    {},
    /^http\.tls\.key is missing/,
  ],
  [
    'a key without a certificate',
    `${MINIMAL}http: {tls: {key: k.pem}}\n`,
    {},
    /^http\.tls\.certificate is missing/,
  ],
  [
    'a bad duration',
    `${MINIMAL}http: {draintimeout: 5 minutes}\n`,
    {},
    /^http\.draintimeout must be a duration such as .*, not "5 minutes"$/,
  ],
  [
    'a negative duration',
    `${MINIMAL}http: {draintimeout: -5s}\n`,
    {},
    /^http\.draintimeout must not be negative/,
  ],
  ['a bad address', `${MINIMAL}http: {addr: 5000}\n`, {}, /^http\.addr must be an address/],
  [
    'a bad debug address',
    `${MINIMAL}http: {debug: {addr: "5001"}}\n`,
    {},
    /^http\.debug\.addr must be an address/,
  ],
  [
    'a host that is no URL',
    `${MINIMAL}http: {host: registry.example.com}\n`,
    {},
    /^http\.host must be a URL/,
  ],
  [
    'a bad log level',
    MINIMAL,
    { REGISTRY_LOG_LEVEL: 'derp' },
    /^log\.level must be one of .* \(set by REGISTRY_LOG_LEVEL\)$/,
  ],
  [
    'a word for a section',
    MINIMAL,
    { REGISTRY_STORAGE_FILESYSTEM: '/x' },
    /^storage\.filesystem must be a mapping of keys/,
  ],
  [
    'a section for a word',
    `${MINIMAL}http: {addr: {port: 5000}}\n`,
    {},
    /^http\.addr must be a single value$/,
  ],
  [
    'a bad boolean',
    `${MINIMAL}http: {relativeurls: maybe}\n`,
    {},
    /^http\.relativeurls must be true or false, not "maybe"$/,
  ],
  [
    'a negative number of tags',
    `${MINIMAL}tags: {maxtags: -1}\n`,
    {},
    /^tags\.maxtags must be a whole number/,
  ],
  [
    'a pattern that is read differently',
    `${MINIMAL}validation: {manifests: {urls: {allow: ["[[:alpha:]]"]}}}\n`,
    {},
    /^validation\.manifests\.urls\.allow\[0\] must be a regular expression/,
  ],
  [
    'an unknown cipher suite',
    `${MINIMAL}http: {tls: {ciphersuites: [RC4]}}\n`,
    {},
    /^http\.tls\.ciphersuites\[0\] must be a cipher suite/,
  ],
  [
    'a bad proxy range',
    `${MINIMAL}http: {trustedproxies: [10.0.0.0/40]}\n`,
    {},
    /^http\.trustedproxies\[0\] must be an address or a range/,
  ],
  [
    'a header on two lines',
    `${MINIMAL}http: {headers: {X-A: ["a\\r\\nX-B: b"]}}\n`,
    {},
    /^http\.headers\.X-A\[0\] must be the value of an HTTP header/,
  ],
  [
    'a health check of nothing',
    `${MINIMAL}health: {http: [{timeout: 1s}]}\n`,
    {},
    /^health\.http\[0\]\.uri is missing/,
  ],
  [
    'a header that is no name',
    `${MINIMAL}http: {headers: {"X A": [a]}}\n`,
    {},
    /^http\.headers\.X A is not the name of a header/,
  ],
  [
    'credentials for every origin (zot #3978)',
    `${MINIMAL}http: {headers: {access-control-allow-origin: ["*"], Access-Control-Allow-Credentials: ["true"]}}\n`,
    {},
    /^http\.headers lets pages of every site act/,
  ],
  [
    'an index that leaves a gap',
    MINIMAL,
    { REGISTRY_HTTP_TLS_CLIENTCAS_2: '/a' },
    /^REGISTRY_HTTP_TLS_CLIENTCAS_2 cannot be applied/,
  ],
  ['YAML that is none', 'version: 0.1\nstorage: [\n', {}, /^line \d: /],
]

for (const [what, text, env, message] of REFUSED) {
  test(`${what} stops the start with one sentence`, async () => {
    const problems = await problemsOf(text, env)
    assert.ok(
      problems.some((problem) => message.test(problem)),
      problems.join('\n') || 'it started',
    )
    assert.doesNotMatch(problems.join(), /hunter2/)
  })
}

test('everything that is wrong is said at once', async () => {
  const problems = await problemsOf(
    'version: 0.2\nstorage: {gcs: {}}\nhttp: {addr: x, tls: {key: k}}\nproxy: {remoteurl: u}\n',
  )
  assert.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    ['proxy.remoteurl', 'version', 'storage.gcs', 'http.addr', 'http.tls.certificate'],
  )
})

test('bytes that are no text, a folder, a missing and an endless file are refused in words', async () => {
  assert.deepEqual(await problemsOf(Uint8Array.of(0x76, 0xff, 0xfe)), ['it is not UTF-8 text'])
  assert.match((await problemsOf('#'.repeat(1_100_000)))[0] ?? '', /^it is larger than 1048576 bytes/)
  const failing = (file: string) => loadConfig({ file, env: {}, cwd: tmpdir() })
  await assert.rejects(failing('.'), /cannot be read: it is a folder/)
  await assert.rejects(failing('missing.yml'), /missing\.yml: cannot be read: there is no such file/)
})
