// The effective configuration cut into what each room takes: its own options, in its own words.
import type { LdapSetup, OidcSetup } from '#access/external/open-providers.ts'
import type { FederationSetup } from '#access/federation/open-federation.ts'
import type { AccessOptions } from '#access/open-access.ts'
import type { TokenAuthOptions } from '#access/tokens/token-authentication.ts'
import type { StorageOptions, TierStorage } from '#blobs/open-storage.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import type { LinkOptions } from '#http/links.ts'
import type { ServerLimits, ServerOptions } from '#http/server.ts'
import { TlsFiles } from '#http/tls.ts'
import type { WatchLimits } from '#http/transfer-watch.ts'
import { formatGoDuration } from '#lib/go-duration.ts'
import { goRegExp } from '#lib/go-regexp.ts'
import { parseListenAddress } from '#lib/listen-address.ts'
import type { OutboundSourceOptions } from '#lib/outbound/outbound-source.ts'
import { opensslCiphers } from '#lib/tls-cipher-names.ts'
import type { BackgroundSettings } from '#maintenance/background.ts'
import type { UrlPolicy } from '#oci/url-policy.ts'
import type { RegistrySettings } from '#registry/registry.ts'
import type { Config } from './schema.ts'

const MEMORY_STORAGE_BYTES_MAX = 1024 * 1024 * 1024
const SEND_IDLE_MS_MIN = 600_000

export function registrySettings(config: Config): RegistrySettings {
  return {
    sparse: config.validation.manifests.sparse,
    indexPlatforms: indexPlatformsOf(config),
    urls: urlPolicyOf(config),
    validationDisabled: config.validation.disabled,
    openUploadsMax: config.http.limits.maxopenuploads,
    deletedWindowMs: config.storage.delete.windowMs,
    graceMs: config.storage.maintenance.gc.graceMs,
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

/** How much of the time the search for garbage works, on one thread with the requests. */
const GC_SHARE = 0.15
/** A pause that a schedule takes; shorter ones would keep a worker busy for nothing. */
const SCHEDULE_MS_MIN = 1_000

export function backgroundSettings(config: Config): BackgroundSettings {
  const { storage, events, jobs } = config
  const { gc, uploadpurging } = storage.maintenance
  const { enabled, ageMs, intervalMs, dryrun } = uploadpurging
  const every = `@every ${formatGoDuration(Math.max(intervalMs, SCHEDULE_MS_MIN))}`
  return {
    concurrency: jobs.concurrency,
    pruning: { readsMs: events.readretentionMs, writesMs: events.writeretentionMs },
    tiering: tierSettings(config),
    sweeping: enabled ? { timing: every, ageMs, dryRun: dryrun } : undefined,
    scrub: {
      timing: config.scrub.enabled ? config.scrub.schedule : undefined,
      bytesPerSecond: config.scrub.rate,
    },
    retention: config.retention.enabled ? config.retention.schedule : undefined,
    gc: {
      timing: gc.enabled ? gc.schedule : undefined,
      graceMs: gc.graceMs,
      deleteUntagged: gc.deleteuntagged,
      limits: {
        deletesPerSecond: gc.deletespersecond,
        bytesPerSecond: gc.bytespersecond,
        share: GC_SHARE,
      },
    },
  }
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

export function tokenAuthOptions({ auth, http }: Config): TokenAuthOptions | undefined {
  const { token } = auth
  if (!token) return undefined
  const { realm = '', service = '', issuer = '', signingalgorithms, jwks, rootcertbundle } = token
  return {
    realm: token.autoredirect
      ? { path: `/${token.autoredirectpath}`.replace(/^\/+/, '/'), origin: http.host?.replace(/\/+$/, '') }
      : realm,
    service,
    issuer,
    files: { jwks, rootCertBundle: rootcertbundle },
    algorithms: signingalgorithms,
  }
}

export function storageOptions({ storage: { filesystem, s3, tiers } }: Config): StorageOptions {
  if (filesystem) {
    const hot = { kind: 'filesystem', root: filesystem.rootdirectory } as const
    return tiers ? { kind: 'tiers', hot, cold: coldOptions(tiers), promote: tiers.promote } : hot
  }
  if (s3) return { kind: 's3', s3: s3Options(s3) }
  return { kind: 'memory', bytesMax: MEMORY_STORAGE_BYTES_MAX }
}

function coldOptions({ cold }: NonNullable<Config['storage']['tiers']>): TierStorage {
  return cold.s3
    ? { kind: 's3', s3: s3Options(cold.s3) }
    : { kind: 'filesystem', root: cold.filesystem?.rootdirectory ?? '' }
}

function tierSettings({ storage: { tiers } }: Config): BackgroundSettings['tiering'] {
  if (!tiers) return undefined
  const { schedule: timing, moveafterMs: moveAfterMs, minsizeBytes: moveBytesMin, prices } = tiers
  return { timing, policy: { moveAfterMs, moveBytesMin, prices } }
}

function s3Options(s3: NonNullable<Config['storage']['s3']>): S3Options {
  const { accesskey, secretkey, sessiontoken, storageclass } = s3
  const region = s3.region || 'us-east-1'
  const addressOf = (address: string) =>
    /^https?:\/\//i.test(address) ? address : `${s3.secure ? 'https' : 'http'}://${address}`
  const plainAws = s3.secure ? undefined : `http://s3.${region}.amazonaws.com`
  return {
    bucket: s3.bucket ?? '',
    region,
    endpoint: s3.regionendpoint ? addressOf(s3.regionendpoint) : plainAws,
    redirectEndpoint: s3.redirectendpoint ? addressOf(s3.redirectendpoint) : undefined,
    pathStyle: s3.forcepathstyle ?? Boolean(s3.regionendpoint),
    root: s3.rootdirectory.replace(/^\/+|\/+$/g, ''),
    credentials:
      accesskey && secretkey
        ? { accessKeyId: accesskey, secretAccessKey: secretkey, sessionToken: sessiontoken || undefined }
        : undefined,
    encryption: s3.encrypt ? { kmsKeyId: s3.keyid || undefined } : undefined,
    storageClass: storageclass && !/^none$/i.test(storageclass) ? storageclass.toUpperCase() : undefined,
    acl: s3.objectacl?.toLowerCase(),
    userAgent: s3.useragent || undefined,
    dualStack: s3.usedualstack,
    accelerate: s3.accelerate,
    fips: s3.usefipsendpoint,
    verifyTls: !s3.skipverify,
    partBytes: s3.chunksizeBytes,
    copiesAtOnce: s3.multipartcopymaxconcurrency,
  }
}

export function accessOptions({ auth: { stowage }, http }: Config): AccessOptions | undefined {
  if (!stowage) return undefined
  return {
    service: stowage.service,
    tokenLifeMs: stowage.tokenlifeMs,
    clockSkewMs: stowage.clockskewMs,
    refreshLifeMs: stowage.refreshlifeMs,
    projectCreation: stowage.projectcreation,
    visibility: stowage.visibility,
    oidc: stowage.oidc.map(oidcOptions),
    certificateRules: stowage.certificates.rules.map(({ from, pattern, account = '' }) => ({
      ...{ from, pattern, account },
    })),
    ldap: stowage.ldap && ldapOptions(stowage.ldap),
    federation: federationOptions(stowage.federation),
    sessions: { idleMs: stowage.sessions.idleMs, lifeMs: stowage.sessions.lifeMs },
    projectDepth: stowage.projectdepth,
    tokenPath: `${http.prefix}token`,
    origin: http.host?.replace(/\/+$/, ''),
  }
}

export function outboundOptions({ outbound }: Config): OutboundSourceOptions {
  return { allow: outbound.allow, rootCertBundle: outbound.rootcertbundle }
}

type Stowage = NonNullable<Config['auth']['stowage']>

function oidcOptions(provider: Stowage['oidc'][number]): OidcSetup {
  const { name = '', issuer = '', clientid: clientId = '', clientsecret, clientsecretfile } = provider
  return {
    name,
    label: provider.label ?? name,
    issuer,
    clientId,
    clientSecret: { key: 'auth.stowage.oidc.clientsecret', value: clientsecret, file: clientsecretfile },
    scopes: provider.scopes,
    parameters: provider.parameters,
    nameClaim: provider.nameclaim,
    groupsClaim: provider.groupsclaim,
    ...providerOptions(provider),
    loginLifeMs: provider.loginlifeMs,
  }
}

function ldapOptions(ldap: NonNullable<Stowage['ldap']>): LdapSetup {
  return {
    name: ldap.name,
    url: ldap.url ?? '',
    startTls: ldap.starttls,
    caFile: ldap.cafile,
    bindDn: ldap.binddn,
    bindPassword: {
      key: 'auth.stowage.ldap.bindpassword',
      value: ldap.bindpassword,
      file: ldap.bindpasswordfile,
    },
    userBase: ldap.userbase ?? '',
    userFilter: ldap.userfilter,
    subjectAttribute: ldap.subjectattribute,
    nameAttribute: ldap.nameattribute,
    emailAttribute: ldap.emailattribute,
    displayNameAttribute: ldap.displaynameattribute,
    groupBase: ldap.groupbase,
    groupFilter: ldap.groupfilter,
    groupAttribute: ldap.groupattribute,
    memberOfAttribute: ldap.memberofattribute,
    ...providerOptions(ldap),
    timeoutMs: ldap.timeoutMs,
  }
}

function federationOptions({ issuers, rules, maxageMs }: Stowage['federation']): FederationSetup | undefined {
  if (issuers.length === 0) return undefined
  return {
    issuers: issuers.map(({ name = '', issuer = '', audience = '', jwks }) => ({
      name,
      issuer,
      audience,
      jwks,
    })),
    rules: rules.map(({ robot = '', issuer = '', claims }) => ({ robot, issuer, claims })),
    ageMsMax: maxageMs,
  }
}

function providerOptions(provider: Pick<Stowage['oidc'][number], ProviderKey>) {
  return {
    mapping: {
      names: new Map(Object.entries(provider.groups)),
      prefix: provider.groupprefix,
      admins: new Set(provider.admingroups),
      auditors: new Set(provider.auditorgroups),
      allowed: new Set(provider.allowedgroups),
    },
    provision: provider.provision,
    recheckMs: provider.recheckMs,
    graceMs: provider.graceMs,
  }
}

type ProviderKey =
  | ('groups' | 'groupprefix' | 'admingroups' | 'auditorgroups' | 'allowedgroups')
  | ('provision' | 'recheckMs' | 'graceMs')

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
