// `auth.stowage` put together: directory, keys, token server, and what of them the registry asks.

import { AuditLog } from '#access/audit/audit-log.ts'
import { entryOfLogin } from '#access/audit/login-entries.ts'
import type { RequestFacts } from '#access/authenticate.ts'
import type { CertificateRule } from '#access/certificates/certificate-rules.ts'
import { DatabaseDirectory, type Login } from '#access/database-directory.ts'
import {
  openProviders,
  type ProvidersSetup,
  type ProvidersSurroundings,
} from '#access/external/open-providers.ts'
import type { FederationSetup } from '#access/federation/open-federation.ts'
import { makeFirstAdmin } from '#access/management/first-admin.ts'
import type { OidcLogins } from '#access/oidc/oidc-logins.ts'
import { overwriteGuard } from '#access/overwrite-guard.ts'
import { adoptRepositories, projectGuard } from '#access/project-births.ts'
import { Sessions } from '#access/sessions/sessions.ts'
import { StowageAuthentication } from '#access/stowage-authentication.ts'
import { SigningKeys } from '#access/tokens/signing-keys.ts'
import { TokenService } from '#access/tokens/token-service.ts'
import { setProjectDepth } from '#db/project-depth.ts'
import { pruneRefreshTokens } from '#db/refresh-tokens.ts'
import type { Signals } from '#db/signals.ts'
import type { Visibility } from '#identity/role.ts'
import type { Guard } from '#registry/guards.ts'

export interface AccessOptions extends ProvidersSetup {
  readonly service: string
  readonly tokenLifeMs: number
  readonly clockSkewMs: number
  readonly refreshLifeMs: number
  readonly projectCreation: 'admins' | 'everyone'
  /** How many components of a repository's name can name its project. */
  readonly projectDepth: number
  /** Of a project that a push makes. */
  readonly visibility: Visibility
  /** Whom client certificates speak for. */
  readonly certificateRules: readonly CertificateRule[]
  /** Undefined where no issuer is named. */
  readonly federation: FederationSetup | undefined
  readonly sessions: { readonly idleMs: number; readonly lifeMs: number }
  /** Path of the token endpoint, with the prefix: `/token`. */
  readonly tokenPath: string
  /** Scheme and authority of every absolute URL, where the configuration fixes it; otherwise the request tells. */
  readonly origin: string | undefined
}

export interface AccessSurroundings extends ProvidersSurroundings {
  /** Of the first admin; made up when undefined. */
  readonly adminPassword: string | undefined
  /** Where other processes have the same users and keys. */
  readonly signals?: Signals | undefined
}

export interface Access {
  readonly authenticator: StowageAuthentication
  readonly tokens: TokenService
  readonly directory: DatabaseDirectory
  readonly sessions: Sessions
  readonly oidc: OidcLogins | undefined
  readonly guards: readonly Guard[]
  readonly audit: AuditLog
  /** To be shown once; undefined when there was an admin, or his password was given. */
  readonly firstPassword: string | undefined
  /** Renews keys, forgets tokens that are over, finds repositories without a project. */
  upkeep(): Promise<void>
  /** Looks at what other processes changed: keys, and projects that were deleted. */
  lookAgain(): Promise<void>
}

/** @throws Error with a sentence for the operator when the password of the first admin is too weak */
export async function openAccess(options: AccessOptions, surroundings: AccessSurroundings): Promise<Access> {
  const { db, log, now, adminPassword, signals } = surroundings
  const { service, tokenLifeMs, refreshLifeMs, clockSkewMs } = options
  const { projectCreation, projectDepth, visibility } = options
  if (await db.transaction((tx) => setProjectDepth(tx, projectDepth)))
    log.info('repositories were given to projects of another depth', { projectDepth })
  const firstPassword = await makeFirstAdmin(db, { password: adminPassword, now })
  const audit = await AuditLog.open({ db, now, projectDepth })
  const onLogin = (login: Login) => audit.note(entryOfLogin(login))
  const { accounts, oidc } = await openProviders(options, surroundings)
  const federation = options.federation && (await federate(options.federation, surroundings))
  const directory = await DatabaseDirectory.open({
    ...{ db, now, projectCreation, projectDepth, onLogin, signals, accounts, federation },
    certificateRules: options.certificateRules,
  })
  const keys = await SigningKeys.open(db, now)
  const tokens = new TokenService({
    db,
    directory,
    keys,
    service,
    tokenLifeMs,
    refreshLifeMs,
    clockSkewMs,
    now,
  })
  const realm = ({ scheme, host }: RequestFacts) =>
    (options.origin ?? `${scheme}://${host}`) + options.tokenPath
  const authenticator = new StowageAuthentication({ directory, verifier: tokens.verifier, service, realm })
  const sessions = new Sessions({ db, directory, now, ...options.sessions })
  const adopt = async () => {
    const projects = await adoptRepositories(db, now)
    if (projects.length > 0)
      log.warn('repositories without a project were put into private ones: give them members', { projects })
  }
  await adopt()
  return {
    authenticator,
    tokens,
    directory,
    sessions,
    oidc,
    audit,
    guards: [
      projectGuard({ db, visibility, projectDepth, now }),
      overwriteGuard({ projectCreation, projectDepth }, now),
    ],
    firstPassword,
    async lookAgain() {
      await directory.lookAgain()
      await keys.lookAgain()
    },
    async upkeep() {
      await keys.renew()
      await db.transaction((tx) => pruneRefreshTokens(tx, now()), { durable: false })
      await sessions.prune()
      await adopt()
    },
  }
}

async function federate(setup: FederationSetup, surroundings: ProvidersSurroundings) {
  const { openFederation } = await import('#access/federation/open-federation.ts')
  return openFederation(setup, surroundings)
}
