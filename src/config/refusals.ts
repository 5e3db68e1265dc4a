// What must not start: keys whose absence would change what is stored, served or allowed, and settings that contradict
// each other. Each sentence says what to do.
import { parseListenAddress } from '#lib/listen-address.ts'
import type { Remark } from '#lib/settings/read.ts'
import { isTreeList, isTreeMap, type Tree } from '#lib/yaml-tree.ts'
import { identityContradictions } from './identity-contradictions.ts'
import type { Config } from './schema.ts'
import { STORAGE_OPTIONS } from './storage-keys.ts'

/** Judges what is written, before defaults. */
export function refusalsOf(tree: Tree): Remark[] {
  return [...storageRefusals(tree), ...authRefusals(tree), ...featureRefusals(tree)]
}

function storageRefusals(tree: Tree): Remark[] {
  const drivers = keysAt(tree, 'storage').filter((key) => !STORAGE_OPTIONS.has(key))
  if (drivers.length > 1) {
    return [
      {
        path: 'storage',
        text: `names ${drivers.length} storage drivers (${drivers.join(', ')}): keep exactly one`,
      },
    ]
  }
  if (drivers.length === 1) return []
  return [
    {
      path: 'storage',
      text: 'names no storage driver: write storage.filesystem.rootdirectory or storage.s3',
    },
  ]
}

function authRefusals(tree: Tree): Remark[] {
  const kinds = keysAt(tree, 'auth')
  if (kinds.length < 2) return []
  return [
    {
      path: 'auth',
      text: `names ${kinds.length} kinds of authentication (${kinds.join(', ')}): keep exactly one`,
    },
  ]
}

function featureRefusals(tree: Tree): Remark[] {
  const refusals: Remark[] = []
  if (isSet(at(tree, 'proxy', 'remoteurl'))) {
    refusals.push({
      path: 'proxy.remoteurl',
      text: 'makes a pull-through cache, which this version cannot be: remove the proxy section',
    })
  }
  if (['hosts', 'email', 'cachefile'].some((key) => isSet(at(tree, 'http', 'tls', 'letsencrypt', key)))) {
    refusals.push({
      path: 'http.tls.letsencrypt',
      text: 'is not available in this version: obtain a certificate and name it in http.tls.certificate and http.tls.key',
    })
  }
  return refusals
}

/** Judges the effective value: settings that need or exclude each other. */
export function contradictionsOf({ http, auth, health, storage, database, notifications }: Config): Remark[] {
  const found: Remark[] = storage.s3 ? s3Contradictions(storage.s3, 'storage.s3') : []
  if (storage.s3 && database.url === undefined && database.path === '') {
    found.push({
      path: 'database.path',
      text: 'is missing: with storage.s3 the facts need a place of their own. Name a file on a disk that stays, or a PostgreSQL by database.url',
    })
  }
  if (storage.tiers) found.push(...tierContradictions(storage, storage.tiers))
  if (storage.inmemory && database.url !== undefined) {
    found.push({
      path: 'database.url',
      text: 'is of no use with storage.inmemory: the facts would outlive the blobs that they tell of',
    })
  }
  const isInMemory = storage.inmemory || (database.path === ':memory:' && database.url === undefined)
  if (http.workers !== 1 && isInMemory) {
    found.push({
      path: 'http.workers',
      text: 'must be 1 where anything is kept in memory: processes do not share theirs',
    })
  }
  if (http.net === 'tcp' && parseListenAddress(http.addr) === undefined) {
    found.push({ path: 'http.addr', text: 'must be an address such as :5000, 127.0.0.1:5000 or [::1]:5000' })
  }
  if (http.tls.certificate !== undefined && http.tls.key === undefined) {
    found.push({ path: 'http.tls.key', text: 'is missing: http.tls.certificate needs it' })
  }
  if (http.tls.key !== undefined && http.tls.certificate === undefined) {
    found.push({ path: 'http.tls.certificate', text: 'is missing: http.tls.key is of no use without it' })
  }
  if (auth.htpasswd !== undefined && auth.htpasswd.path === undefined) {
    found.push({ path: 'auth.htpasswd.path', text: 'is missing: name the file of users and passwords' })
  }
  found.push(...endpointContradictions(notifications.endpoints))
  if (auth.stowage !== undefined) found.push(...identityContradictions(auth.stowage))
  if (auth.token !== undefined) found.push(...tokenContradictions(auth.token))
  for (const name of Object.keys(http.headers)) {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name))
      found.push({ path: `http.headers.${name}`, text: 'is not the name of a header' })
  }
  if (
    headerIs(http.headers, 'Access-Control-Allow-Origin', /[*]|^null$/) &&
    headerIs(http.headers, 'Access-Control-Allow-Credentials', /true/i)
  ) {
    found.push({
      path: 'http.headers',
      text: 'lets pages of every site act as whoever looks at them: name the origins in Access-Control-Allow-Origin, or leave Access-Control-Allow-Credentials out',
    })
  }
  const checks = [
    ...health.file.map((check, n) => [`health.file[${n}].file`, check.file] as const),
    ...health.http.map((check, n) => [`health.http[${n}].uri`, check.uri] as const),
    ...health.tcp.map((check, n) => [`health.tcp[${n}].addr`, check.addr] as const),
  ]
  for (const [path, target] of checks) {
    if (target === undefined) found.push({ path, text: 'is missing: say what to check' })
  }
  return found
}

function tierContradictions(
  { filesystem }: Config['storage'],
  { cold }: NonNullable<Config['storage']['tiers']>,
): Remark[] {
  if (!filesystem) {
    return [
      { path: 'storage.tiers', text: 'needs storage.filesystem, from which blobs go to the cold store' },
    ]
  }
  if (cold.s3 && cold.filesystem) {
    return [{ path: 'storage.tiers.cold', text: 'names a folder and a bucket: keep one of them' }]
  }
  if (cold.s3) return s3Contradictions(cold.s3, 'storage.tiers.cold.s3')
  const text = 'is missing: say where cold blobs go, or remove storage.tiers'
  if (!cold.filesystem?.rootdirectory) return [{ path: 'storage.tiers.cold.filesystem.rootdirectory', text }]
  if (cold.filesystem.rootdirectory !== filesystem.rootdirectory) return []
  return [
    {
      path: 'storage.tiers.cold.filesystem.rootdirectory',
      text: 'must not be the folder of the blobs themselves',
    },
  ]
}

function s3Contradictions(s3: NonNullable<Config['storage']['s3']>, at: string): Remark[] {
  const found: Remark[] = []
  const missing = (key: string, what: string) =>
    found.push({ path: `${at}.${key}`, text: `is missing: ${what}` })
  if (!s3.bucket) missing('bucket', 'name the bucket')
  if (!s3.region && !s3.regionendpoint)
    missing('region', 'name the region of the bucket, or a regionendpoint')
  if (s3.accesskey && !s3.secretkey) missing('secretkey', `${at}.accesskey is of no use without it`)
  if (s3.secretkey && !s3.accesskey) missing('accesskey', `${at}.secretkey is of no use without it`)
  if (!s3.v4auth) {
    found.push({ path: `${at}.v4auth`, text: 'must be true: signatures of version 2 are not made here' })
  }
  for (const key of ['regionendpoint', 'redirectendpoint'] as const) {
    if (s3[key] && !isAddress(s3[key]))
      found.push({ path: `${at}.${key}`, text: 'must be an address such as https://s3.example.com' })
  }
  return found
}

function isAddress(address: string): boolean {
  const url = URL.parse(/^https?:\/\//i.test(address) ? address : `https://${address}`)
  return url !== null && url.hostname !== '' && url.username === '' && url.search === ''
}

function tokenContradictions(token: NonNullable<Config['auth']['token']>): Remark[] {
  const found: Remark[] = []
  const needed = {
    realm: 'say where clients get tokens',
    service: 'say what tokens call this registry',
    issuer: 'say what the token server calls itself',
  }
  for (const [key, what] of Object.entries(needed)) {
    if (key === 'realm' && token.autoredirect) continue
    if (!token[key as keyof typeof needed])
      found.push({ path: `auth.token.${key}`, text: `is missing: ${what}` })
  }
  if (token.jwks === undefined && token.rootcertbundle === undefined) {
    found.push({
      path: 'auth.token',
      text: 'names no keys: set jwks or rootcertbundle, or no token could be believed',
    })
  }
  const { signingalgorithms } = token
  if (signingalgorithms.length > 0 && signingalgorithms.every((name) => name.startsWith('HS'))) {
    found.push({
      path: 'auth.token.signingalgorithms',
      text: 'names only shared secrets, which are never accepted: name one of a public key, such as ES256',
    })
  }
  return found
}

function headerIs(headers: Config['http']['headers'], name: string, pattern: RegExp): boolean {
  return Object.entries(headers).some(
    ([key, values]) =>
      key.toLowerCase() === name.toLowerCase() && values.some((value) => pattern.test(value)),
  )
}

/** Settings that are without effect as they stand. */
export function idleSettingsOf({ http, storage, auth }: Config): Remark[] {
  const found: Remark[] = []
  if (http.tls.certificate === undefined && http.tls.clientcas.length > 0) {
    const text = 'has no effect without http.tls.certificate: clients are not asked'
    found.push({ path: 'http.tls.clientcas', text })
  }
  const rules = auth.stowage?.certificates.rules ?? []
  if (rules.length > 0 && (http.tls.certificate === undefined || http.tls.clientcas.length === 0)) {
    const text = 'has no effect without http.tls.certificate and http.tls.clientcas: clients are not asked'
    found.push({ path: 'auth.stowage.certificates', text })
  }
  if (storage.s3?.keyid && !storage.s3.encrypt) {
    found.push({ path: 'storage.s3.keyid', text: 'has no effect without storage.s3.encrypt: true' })
  }
  return found
}

function at(tree: Tree | undefined, ...keys: readonly string[]): Tree | undefined {
  let here = tree
  for (const key of keys) here = isTreeMap(here) && Object.hasOwn(here, key) ? here[key] : undefined
  return here
}

function keysAt(tree: Tree, key: string): string[] {
  const value = at(tree, key)
  if (typeof value === 'string' && value !== '') return [value]
  return isTreeMap(value) ? Object.keys(value) : []
}

function isSet(tree: Tree | undefined): boolean {
  return isTreeList(tree) ? tree.length > 0 : tree !== undefined && tree !== null && tree !== ''
}

function endpointContradictions(endpoints: Config['notifications']['endpoints']): Remark[] {
  const found: Remark[] = []
  for (const [n, { name = '', url, disabled }] of endpoints.entries()) {
    const at = `notifications.endpoints[${n}]`
    if (disabled) continue
    if (name === '')
      found.push({ path: `${at}.name`, text: 'is missing: what it was told is kept under its name' })
    if (url === undefined)
      found.push({ path: `${at}.url`, text: 'is missing: say where to send notifications' })
    if (endpoints.findIndex((other) => other.name === name) < n)
      found.push({ path: `${at}.name`, text: 'is the name of another endpoint: each needs one of its own' })
  }
  return found
}
