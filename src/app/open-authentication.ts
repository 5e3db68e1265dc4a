// Who a caller is: the way in that the configuration names.
import type { AuditLog } from '#access/audit/audit-log.ts'
import {
  type Authenticator,
  htpasswdAuthentication,
  noAuthentication,
  sillyAuthentication,
} from '#access/authenticate.ts'
import type { DatabaseDirectory } from '#access/database-directory.ts'
import type { OidcLogins } from '#access/oidc/oidc-logins.ts'
import type { AccessSurroundings } from '#access/open-access.ts'
import type { Sessions } from '#access/sessions/sessions.ts'
import type { TokenService } from '#access/tokens/token-service.ts'
import type { Config } from '#config/schema.ts'
import { accessOptions, tokenAuthOptions } from '#config/slices.ts'
import { ClientCertificates } from '#http/client-certificates.ts'
import type { Guard } from '#registry/guards.ts'

export interface Authentication {
  readonly authenticator: Authenticator
  readonly guards: readonly Guard[]
  readonly tokens?: TokenService
  readonly directory?: DatabaseDirectory
  readonly sessions?: Sessions
  readonly audit?: AuditLog
  readonly oidc?: OidcLogins | undefined
  readonly upkeep?: () => Promise<void>
  /** Looks at what other processes changed. */
  readonly lookAgain?: () => Promise<void>
  /** Reads users and keys again. */
  reload(): Promise<void>
}

/** Each way in loads what it needs itself: bcrypt, tokens and users cost a server without them nothing. */
export async function openAuthentication(
  config: Config,
  surroundings: AccessSurroundings,
): Promise<Authentication> {
  const { log } = surroundings
  const { htpasswd, silly } = config.auth
  const without = { guards: [], reload: async () => {} }
  if (htpasswd) {
    const { Htpasswd } = await import('#access/passwords/htpasswd.ts')
    const users = await Htpasswd.open({ file: htpasswd.path ?? '', log, onCreated: announceFirstUser })
    const authenticator = htpasswdAuthentication(users, htpasswd.realm)
    return { ...without, authenticator, reload: () => users.reload() }
  }
  const tokens = tokenAuthOptions(config)
  if (tokens) {
    const { TokenAuthentication } = await import('#access/tokens/token-authentication.ts')
    const authenticator = await TokenAuthentication.open(tokens, log, surroundings.now)
    return { ...without, authenticator, reload: () => authenticator.reload() }
  }
  const stowage = accessOptions(config)
  if (stowage) {
    const { openAccess } = await import('#access/open-access.ts')
    const opened = await openAccess(stowage, surroundings)
    if (opened.firstPassword !== undefined) announceFirstAdmin(opened.firstPassword)
    return {
      ...without,
      ...opened,
      upkeep: () => opened.upkeep(),
      lookAgain: () => opened.lookAgain(),
    }
  }
  return {
    ...without,
    authenticator: silly ? sillyAuthentication(silly.realm, silly.service) : noAuthentication,
  }
}

/** Certificates count where clients are asked for them, and rules say whom they speak for. */
export function certificatesOf({ auth, http }: Config): ClientCertificates | undefined {
  const isAsked = http.tls.certificate !== undefined && http.tls.clientcas.length > 0
  const rules = auth.stowage?.certificates.rules ?? []
  return isAsked && rules.length > 0 ? new ClientCertificates() : undefined
}

/** Past the log, which may go to many places: the password is shown once, to whoever starts the server. */
function announceFirstUser({ file, user, password }: { file: string; user: string; password: string }): void {
  process.stderr.write(
    `${file} was missing and has been made, with the user ${user} and the password ${password}\n`,
  )
}

function announceFirstAdmin(password: string): void {
  process.stderr.write(
    `\nThere was no user yet. Log in as admin with the password ${password}\nIt is shown this once; change it with: stowage admin users set-password admin\n\n`,
  )
}
