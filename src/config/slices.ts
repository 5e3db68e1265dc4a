// The effective configuration cut into what each room takes: its own options, in its own words.
import type { LinkOptions } from '#http/links.ts'
import type { ServerLimits, ServerOptions } from '#http/server.ts'
import { TlsFiles } from '#http/tls.ts'
import type { WatchLimits } from '#http/transfer-watch.ts'
import { goRegExp } from '#lib/go-regexp.ts'
import { parseListenAddress } from '#lib/listen-address.ts'
import { opensslCiphers } from '#lib/tls-cipher-names.ts'
import type { UrlPolicy } from '#oci/url-policy.ts'
import type { RegistrySettings } from '#registry/registry.ts'
import type { Config } from './schema.ts'

const SEND_IDLE_MS_MIN = 600_000

export function registrySettings(config: Config): RegistrySettings {
  return {
    sparse: config.validation.manifests.sparse,
    indexPlatforms: indexPlatformsOf(config),
    urls: urlPolicyOf(config),
    validationDisabled: config.validation.disabled,
    openUploadsMax: config.http.limits.maxopenuploads,
    tagsPageMax: config.tags.maxtags,
    catalogPageMax: config.catalog.maxentries,
  }
}

function indexPlatformsOf(config: Config) {
  const { platforms, platformlist } = config.validation.manifests.indexes
  if (platforms === 'all') return undefined
  return platforms === 'none' ? [] : platformlist.map(({ os, architecture }) => ({ os, architecture }))
}

function urlPolicyOf(config: Config): UrlPolicy | undefined {
  const { allow, deny } = config.validation.manifests.urls
  if (allow.length === 0 && deny.length === 0) return undefined
  const compiled = (patterns: readonly string[]) => patterns.map((pattern) => goRegExp(pattern) ?? /$^/)
  return { allow: compiled(allow), deny: compiled(deny) }
}

export function watchLimits({ http: { limits } }: Config): WatchLimits {
  return {
    idleMs: limits.idletimeoutMs,
    rateWindowMs: limits.minratewindowMs,
    sendIdleMs: Math.max(SEND_IDLE_MS_MIN, limits.idletimeoutMs),
    minRate: limits.minrateBytesPerSec,
  }
}

export function linkOptions(config: Config): LinkOptions {
  return {
    host: config.http.host,
    prefix: config.http.prefix,
    absolute: config.http.relativeurls === false,
    trustedProxies: config.http.trustedproxies,
  }
}

export function serverLimits({ http: { limits } }: Config): ServerLimits {
  return {
    headerMs: limits.headertimeoutMs,
    keepAliveMs: limits.keepalivetimeoutMs,
    headerBytesMax: limits.maxheaderbytes,
    connectionsMax: limits.maxconnections,
  }
}

export function replyHeaders(config: Config) {
  return {
    'Docker-Distribution-API-Version': 'registry/2.0',
    'X-Content-Type-Options': 'nosniff',
    ...Object.fromEntries(Object.entries(config.http.headers).map(([name, values]) => [name, [...values]])),
  }
}

export function listenOptions(config: Config) {
  const { net, addr } = config.http
  if (net === 'unix') return { path: addr }
  return parseListenAddress(addr) ?? {}
}

export function tlsOptions(config: Config): ServerOptions['tls'] {
  const { certificate, key, clientcas, clientauth, minimumtls, ciphersuites } = config.http.tls
  if (certificate === undefined || key === undefined) return undefined
  const versions = {
    'tls1.0': 'TLSv1',
    'tls1.1': 'TLSv1.1',
    'tls1.2': 'TLSv1.2',
    'tls1.3': 'TLSv1.3',
  } as const
  const client = {
    'request-client-cert': 'request',
    'require-any-client-cert': 'any',
    'verify-client-cert-if-given': 'verify-if-given',
    'require-and-verify-client-cert': 'require',
  } as const
  return {
    http2: !config.http.http2.disabled,
    files: new TlsFiles({
      certificate,
      key,
      clientCas: clientcas.filter((file) => file !== undefined),
      clientAuth: client[clientauth],
      minimumVersion: versions[minimumtls],
      ciphers: opensslCiphers(ciphersuites),
    }),
  }
}
