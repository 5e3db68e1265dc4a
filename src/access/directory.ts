// Who there is and what they may do, for whatever lets people in: passwords, tokens, the management API.
import type { CertificateNames } from '#access/certificates/certificate-rules.ts'
import type { Credentials } from '#access/passwords/basic-credentials.ts'
import type { Identity } from '#access/rights.ts'
import type { Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import type { Right } from '#identity/role.ts'
import type { RepositoryName } from '#oci/reference.ts'

export interface Directory {
  /** Who that is now; undefined when disabled, expired or deleted. */
  identityOf(principal: Principal): Promise<Identity | undefined>
  /** By a name and a password, secret or key; undefined when they are wrong. @throws OciError TOO_MANY_REQUESTS */
  identityBy(credentials: Credentials, remote: string): Promise<Identity | undefined>
  /** By a certificate that was verified; undefined for one that speaks for nobody. */
  identityByCertificate(names: CertificateNames): Promise<Identity | undefined>
  /** By name alone: also for repositories that do not exist. */
  rightsIn(identity: Identity, repository: RepositoryName): Promise<ReadonlySet<Right>>
  readable(identity: Identity): Promise<Readable>
  /** When the project of that repository was deleted last, in milliseconds since 1970; undefined when never. */
  deletedAt(repository: RepositoryName): number | undefined
}
