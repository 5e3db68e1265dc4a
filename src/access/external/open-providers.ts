// The providers of accounts that the configuration names. Each kind is loaded only where there is one of it.
import { readFile } from 'node:fs/promises'
import { ExternalAccounts, type ExternalSource } from '#access/external/external-accounts.ts'
import type { LdapOptions } from '#access/ldap/ldap-source.ts'
import type { OidcLogins } from '#access/oidc/oidc-logins.ts'
import type { OidcOptions } from '#access/oidc/oidc-source.ts'
import { sealSecret } from '#access/seal-secret.ts'
import type { Db } from '#db/db.ts'
import type { OutboundSource } from '#lib/outbound/outbound-source.ts'
import { readSecret, type SecretSource } from '#lib/secret-source.ts'
import type { Log } from '#telemetry/log.ts'

export type OidcSetup = Omit<OidcOptions, 'clientSecret'> & { readonly clientSecret: SecretSource }

export type LdapSetup = Omit<LdapOptions, 'bindPassword' | 'ca'> & {
  readonly bindPassword: SecretSource
  readonly caFile: string | undefined
}

export interface ProvidersSetup {
  readonly oidc: readonly OidcSetup[]
  readonly ldap: LdapSetup | undefined
}

export interface ProvidersSurroundings {
  readonly db: Db
  readonly log: Log
  readonly now: () => number
  readonly outbound: OutboundSource
}

export interface Providers {
  /** Undefined without any. */
  readonly accounts: ExternalAccounts | undefined
  readonly oidc: OidcLogins | undefined
}

/** @throws Error with a sentence for the operator when a secret or a certificate cannot be read */
export async function openProviders(
  setup: ProvidersSetup,
  around: ProvidersSurroundings,
): Promise<Providers> {
  const { db, log, now, outbound } = around
  const oidcSources = await Promise.all(
    setup.oidc.map(async ({ clientSecret, ...options }) => {
      const { OidcSource } = await import('#access/oidc/oidc-source.ts')
      return new OidcSource(
        { ...options, clientSecret: await readSecret(clientSecret) },
        await outbound.open(),
        now,
      )
    }),
  )
  const ldapSources = setup.ldap ? [await openLdap(setup.ldap, log)] : []
  const sources: ExternalSource[] = [...ldapSources, ...oidcSources]
  if (sources.length === 0) return { accounts: undefined, oidc: undefined }
  const accounts = new ExternalAccounts({ db, sources, log, now })
  if (oidcSources.length === 0) return { accounts, oidc: undefined }
  const { OidcLogins } = await import('#access/oidc/oidc-logins.ts')
  const seal = await sealSecret(db)
  return { accounts, oidc: new OidcLogins({ db, sources: oidcSources, accounts, sealSecret: seal, now }) }
}

async function openLdap({ bindPassword, caFile, ...options }: LdapSetup, log: Log): Promise<ExternalSource> {
  const { LdapSource } = await import('#access/ldap/ldap-source.ts')
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
  return new LdapSource({ ...options, ca, bindPassword: await readSecret(bindPassword) }, log)
}
