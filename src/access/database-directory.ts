// The directory out of the database.
import { randomUUID } from 'node:crypto'

import {
  type CertificateNames,
  type CertificateRule,
  principalOf,
} from '#access/certificates/certificate-rules.ts'
import type { Directory } from '#access/directory.ts'
import type { ExternalAccounts } from '#access/external/external-accounts.ts'
import { FEDERATED_USER, type Federation, isIdentityToken } from '#access/federation/federation.ts'
import { Attempts } from '#access/passwords/attempts.ts'
import type { Credentials } from '#access/passwords/basic-credentials.ts'
import { PasswordChecks } from '#access/passwords/password-checks.ts'
import { checkPassword, DECOY_HASH, hashPassword, isForeignHash } from '#access/passwords/passwords.ts'
import {
  findIdentity,
  findRobotIdentity,
  type Identity,
  isOver,
  type RightsOptions,
  readableBy,
  rightsIn,
  userIdentity,
} from '#access/rights.ts'
import { hashSecret, isSecret, sameHash } from '#access/secrets.ts'
import { findApiKeyBySecret } from '#db/api-keys.ts'
import type { Db } from '#db/db.ts'
import { tombstones } from '#db/projects.ts'
import { findRobot } from '#db/robots.ts'
import type { Signals } from '#db/signals.ts'
import { findUser, replacePasswordHash } from '#db/users.ts'
import { isRobotName, projectOf } from '#identity/account-name.ts'
import { type Principal, principalName } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import type { Right } from '#identity/role.ts'
import type { RepositoryName } from '#oci/reference.ts'

/** Longer names are nobody's. */
const ACCOUNT_CHARS_MAX = 255

export interface DatabaseDirectoryOptions extends RightsOptions {
  readonly db: Db
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Hears of every attempt to log in. */
  readonly onLogin?: ((login: Login) => void) | undefined
  /** Where other processes have the same directory. */
  readonly signals?: Signals | undefined
  /** People of providers; undefined where there are none. */
  readonly accounts?: ExternalAccounts | undefined
  /** Whom client certificates speak for. */
  readonly certificateRules?: readonly CertificateRule[]
  /** Jobs of others; undefined where no issuer is believed. */
  readonly federation?: Federation | undefined
}

export interface Login {
  /** The account; null where there is none of that name: people type passwords into the wrong field. */
  readonly account: string | null
  readonly remote: string
  /** Null when it succeeded. */
  readonly fault: 'wrong credentials' | 'too many attempts' | null
  /** The id of the API key that was used. */
  readonly key?: number | undefined
}

const DELETED_TOPIC = 'project.deleted'
/** Failed logins count in every process; where a signal is lost, in one alone: each process more allows as many again. */
const FAILED_TOPIC = 'login.failed'

export class DatabaseDirectory implements Directory {
  readonly #options: DatabaseDirectoryOptions
  readonly #attempts: Attempts
  readonly #checks: PasswordChecks
  readonly #deleted = new Map<string, number>()
  /** Tells our own signals from those of others. */
  readonly #mark = randomUUID()

  private constructor(options: DatabaseDirectoryOptions) {
    this.#options = options
    this.#attempts = new Attempts(options.now)
    this.#checks = new PasswordChecks({ now: options.now, verify: checkPassword })
  }

  static async open(options: DatabaseDirectoryOptions): Promise<DatabaseDirectory> {
    const directory = new DatabaseDirectory(options)
    await directory.lookAgain()
    options.signals?.subscribe(DELETED_TOPIC, () => void directory.lookAgain().catch(() => {}))
    options.signals?.subscribe(FAILED_TOPIC, (text) => directory.#failedElsewhere(text))
    return directory
  }

  /** Projects that another process deleted. */
  async lookAgain(): Promise<void> {
    for (const { name, deletedAt } of await tombstones(this.#options.db)) this.#deleted.set(name, deletedAt)
  }

  #failed(user: string, remote: string): void {
    this.#attempts.failed(user, remote)
    this.#options.signals?.publish(FAILED_TOPIC, JSON.stringify([this.#mark, user, remote]))
  }

  #failedElsewhere(text: string): void {
    if (text === '') return
    const [mark, user, remote] = JSON.parse(text) as [string, string, string]
    if (mark !== this.#mark) this.#attempts.failed(user, remote)
  }

  /** Whose first push makes a project. */
  get projectCreation(): RightsOptions['projectCreation'] {
    return this.#options.projectCreation
  }

  /** How many components of a repository's name can name its project. */
  get projectDepth(): number {
    return this.#options.projectDepth
  }

  /** What the accounts of a provider are known by; undefined for one that is not configured. */
  issuerOf(provider: string): string | undefined {
    return this.#options.accounts?.issuerOf(provider)
  }

  /** The URL of an issuer whose jobs may log in, by its name or URL; undefined for others. */
  federatedIssuer(nameOrUrl: string): string | undefined {
    return this.#options.federation?.find(nameOrUrl)?.issuer
  }

  async identityOf(principal: Principal): Promise<Identity | undefined> {
    const { accounts } = this.#options
    // First, since it may change what is read then.
    if (accounts && principal.kind === 'user' && !(await accounts.stillHolds(principal.name)))
      return undefined
    return findIdentity(this.#options.db, principal, this.#options.now())
  }

  async identityByCertificate(names: CertificateNames): Promise<Identity | undefined> {
    const principal = principalOf(names, this.#options.certificateRules ?? [])
    return principal && this.identityOf(principal)
  }

  async identityBy({ user, password }: Credentials, remote: string): Promise<Identity | undefined> {
    if (user.length > ACCOUNT_CHARS_MAX) return undefined
    // All jobs log in by one name: the failures of one address must not slow the others.
    const tried = user === FEDERATED_USER ? `${user} ${remote}` : user
    try {
      this.#attempts.check(tried, remote)
    } catch (error) {
      await this.#tellFault('too many attempts', user, remote)
      throw error
    }
    const identity = await this.#lookUp(user, password)
    if (!identity) {
      this.#failed(tried, remote)
      await this.#tellFault('wrong credentials', user, remote)
      return undefined
    }
    this.#attempts.succeeded(tried, remote)
    const { principal } = identity
    const key = principal.kind === 'user' ? principal.key : undefined
    // Who somebody is may be called otherwise than what he logged in by.
    this.#options.onLogin?.({ account: principalName(principal) ?? user, remote, fault: null, key })
    return identity
  }

  async #tellFault(fault: NonNullable<Login['fault']>, user: string, remote: string): Promise<void> {
    const { db, onLogin } = this.#options
    if (!onLogin) return
    const isThere = (await (isRobotName(user) ? findRobot(db, user) : findUser(db, user))) !== undefined
    onLogin({ account: isThere ? user : null, remote, fault })
  }

  async #lookUp(user: string, password: string): Promise<Identity | undefined> {
    const { federation } = this.#options
    const isRobot = isRobotName(user)
    if (federation && (isRobot || user === FEDERATED_USER) && isIdentityToken(password))
      return federation.identityOf(password, isRobot ? user : undefined)
    if (isRobot) return this.#robot(user, password)
    if (isSecret('key', password)) return this.#byKey(user, password)
    const { accounts } = this.#options
    const found = await findUser(this.#options.db, user)
    const hashed = found?.passwordHash ?? undefined
    if (!(await this.#checks.check(user, password, hashed, DECOY_HASH))) {
      // Who has a password here has no other: a provider that knows the name does not get to see it.
      return hashed === undefined ? this.#byAccount(user, password) : undefined
    }
    await accounts?.stillHolds(user)
    // Looked up again: the check took long, and the account may be another by now.
    const current = await findUser(this.#options.db, user)
    if (!current || current.passwordHash !== hashed || current.disabledAt !== null) return undefined
    if (hashed !== undefined && isForeignHash(hashed)) await this.#rehash(current.id, hashed, password)
    return userIdentity(current, null)
  }

  /** A password that a bcrypt hash was imported for is known now: from here on it is kept and checked as all others are. */
  async #rehash(id: number, from: string, password: string): Promise<void> {
    const to = await hashPassword(password)
    // A database that takes no writes now keeps nobody out: the next login tries again.
    await this.#options.db.transaction((tx) => replacePasswordHash(tx, id, { from, to })).catch(() => {})
  }

  async #byAccount(name: string, password: string): Promise<Identity | undefined> {
    const { db, now, accounts } = this.#options
    const user = await accounts?.logIn(name, password)
    return user === undefined ? undefined : findIdentity(db, { kind: 'user', name: user }, now())
  }

  async #robot(name: string, secret: string): Promise<Identity | undefined> {
    const { db, now } = this.#options
    const robot = await findRobot(db, name)
    if (!robot) return undefined
    const hash = hashSecret(secret)
    const isPrevious =
      robot.previousSecretHash !== null &&
      !isOver(robot.previousSecretUntil, now()) &&
      sameHash(robot.previousSecretHash, hash)
    if (!sameHash(robot.secretHash, hash) && !isPrevious) return undefined
    return findRobotIdentity(db, name, now())
  }

  async #byKey(user: string, secret: string): Promise<Identity | undefined> {
    const key = await findApiKeyBySecret(this.#options.db, hashSecret(secret))
    if (!key || key.userName !== user) return undefined
    return this.identityOf({ kind: 'user', name: user, key: key.id })
  }

  rightsIn(identity: Identity, repository: RepositoryName): Promise<ReadonlySet<Right>> {
    return rightsIn(this.#options.db, identity, repository, this.#options)
  }

  readable(identity: Identity): Promise<Readable> {
    return readableBy(this.#options.db, identity, this.#options)
  }

  deletedAt(repository: RepositoryName): number | undefined {
    return this.#deleted.get(projectOf(repository, this.#options.projectDepth))
  }

  /** To be told at once: tokens from before must not be good for a project of that name that comes later. */
  projectDeleted(project: string, at: number): void {
    this.#deleted.set(project, at)
    this.#options.signals?.publish(DELETED_TOPIC)
  }
}
