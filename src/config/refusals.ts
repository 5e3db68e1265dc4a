// What must not start: keys whose absence would change what is stored, served or allowed, and settings that contradict
// each other. Each sentence says what to do.
import { parseListenAddress } from '#lib/listen-address.ts'
import type { Remark } from '#lib/settings/read.ts'
import { isTreeList, isTreeMap, type Tree } from '#lib/yaml-tree.ts'
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
  return [{ path: 'storage', text: 'names no storage driver: write storage.filesystem.rootdirectory' }]
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
  const endpoints = at(tree, 'notifications', 'endpoints')
  if (isTreeList(endpoints) && endpoints.some((endpoint) => !isDisabled(endpoint))) {
    refusals.push({
      path: 'notifications.endpoints',
      text: 'names endpoints that would wait for notifications, which this version does not send: remove them or write disabled: true',
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
export function contradictionsOf({ http, auth, health }: Config): Remark[] {
  const found: Remark[] = []
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
  for (const name of Object.keys(http.headers)) {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name))
      found.push({ path: `http.headers.${name}`, text: 'is not the name of a header' })
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

/** Settings that are without effect as they stand. */
export function idleSettingsOf({ http }: Config): Remark[] {
  if (http.tls.certificate !== undefined || http.tls.clientcas.length === 0) return []
  return [
    { path: 'http.tls.clientcas', text: 'has no effect without http.tls.certificate: clients are not asked' },
  ]
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

function isDisabled(endpoint: Tree): boolean {
  const disabled = at(endpoint, 'disabled')
  return typeof disabled === 'string' && /^(true|yes|on|y)$/i.test(disabled)
}
