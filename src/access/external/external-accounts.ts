// Whether what a provider said at a login still holds: asked again before a token is given, at most so often.
import { admitAccount, shutOut } from '#access/external/admit-account.ts'
import type { ExternalAccount, GroupMapping } from '#access/external/external-account.ts'
import type { Db } from '#db/db.ts'
import { claimQuestion, type ExternalIdentityRecord, externalIdentitiesOf } from '#db/external-identities.ts'
import { findUser } from '#db/users.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import type { Log } from '#telemetry/log.ts'

/** While one process asks, and for so long after one that got no answer, the others go by what was said last. */
const QUESTION_MS = 10_000
/** Who asked is known again by the next question. */
const VOLATILE = { durable: false }

export type Confirmation =
  | { readonly kind: 'holds'; readonly account: ExternalAccount; readonly sealedGrant?: string | null }
  /** The provider says that it holds no more. */
  | { readonly kind: 'ended' }
  /** It cannot be asked now. */
  | { readonly kind: 'unreachable'; readonly why: string }
  /** It gave nothing to ask with. */
  | { readonly kind: 'no-grant' }

/** A provider whose accounts come in here. */
export interface ExternalSource {
  readonly issuer: string
  /** For people and the log. */
  readonly name: string
  readonly mapping: GroupMapping
  readonly provision: boolean
  /** What it said is believed for so long without a question. */
  readonly recheckMs: number
  /** The same while it cannot be reached. */
  readonly graceMs: number
  /** The same where it gave nothing to ask with: then people have to log in again. */
  readonly loginLifeMs: number
  /** Never rejects for what the provider says or for its silence. */
  confirm(identity: ExternalIdentityRecord): Promise<Confirmation>
  /** Of providers that take passwords. @throws OciError UNAVAILABLE when it cannot be reached */
  logIn?(name: string, password: string): Promise<ExternalAccount | undefined>
}

export interface ExternalAccountsOptions {
  readonly db: Db
  readonly sources: readonly ExternalSource[]
  readonly log: Log
  readonly now: () => number
}

export class ExternalAccounts {
  readonly #options: ExternalAccountsOptions
  readonly #sources: ReadonlyMap<string, ExternalSource>
  /** Several requests at once ask the provider once. */
  readonly #asking = new KeyedMutex<number>()

  constructor(options: ExternalAccountsOptions) {
    this.#options = options
    this.#sources = new Map(options.sources.map((source) => [source.issuer, source]))
  }

  issuerOf(name: string): string | undefined {
    return this.#options.sources.find((source) => source.name === name)?.issuer
  }

  /** False when the user comes from providers alone, and none of them stands for him any more. */
  async stillHolds(name: string): Promise<boolean> {
    const { db } = this.#options
    const user = await findUser(db, name)
    if (!user) return false
    const identities = await externalIdentitiesOf(db, user.id)
    if (identities.length === 0) return true
    let holds = user.passwordHash !== null
    for (const identity of identities) if (await this.#identityHolds(identity)) holds = true
    return holds
  }

  /** The name of the user here; undefined when no provider takes the password. @throws OciError UNAVAILABLE */
  async logIn(name: string, password: string): Promise<string | undefined> {
    for (const source of this.#options.sources) {
      const account = await source.logIn?.(name, password)
      if (account) return this.admit(source, account)
    }
    return undefined
  }

  /** The name of the user here; undefined when the account may not come in. */
  async admit(
    source: ExternalSource,
    account: ExternalAccount,
    sealedGrant?: string | null,
  ): Promise<string | undefined> {
    const { db, now, log } = this.#options
    const { mapping, provision } = source
    const options = { mapping, provision, now: now(), ...(sealedGrant !== undefined && { sealedGrant }) }
    const admitted = await admitAccount(db, account, options)
    if (admitted.kind === 'out') {
      log.info('an account of a provider was not let in', { provider: source.name, why: admitted.why })
      return undefined
    }
    if (admitted.isNew)
      log.info('an account of a provider got a user', { provider: source.name, user: admitted.user })
    return admitted.user
  }

  async #identityHolds(identity: ExternalIdentityRecord): Promise<boolean> {
    const source = this.#sources.get(identity.issuer)
    if (!source || identity.endedAt !== null) return false
    const age = this.#options.now() - identity.confirmedAt
    if (age < source.recheckMs) return true
    return this.#asking.run(identity.id, () => this.#ask(source, identity))
  }

  async #ask(source: ExternalSource, seen: ExternalIdentityRecord): Promise<boolean> {
    const { db, now, log } = this.#options
    // Somebody else may have asked while this one waited, and then the grant is another one.
    const identity = (await externalIdentitiesOf(db, seen.userId)).find(({ id }) => id === seen.id)
    if (!identity || identity.endedAt !== null) return false
    const { confirmedAt, askedAt } = identity
    if (confirmedAt !== seen.confirmedAt) return true
    const at = now()
    const age = at - confirmedAt
    const isBeingAsked = askedAt !== null && askedAt > confirmedAt && at - askedAt < QUESTION_MS
    if (isBeingAsked || !(await db.transaction((tx) => claimQuestion(tx, identity, at), VOLATILE)))
      return age < source.graceMs
    const confirmation = await source.confirm(identity)
    switch (confirmation.kind) {
      case 'holds':
        return (await this.admit(source, confirmation.account, confirmation.sealedGrant)) !== undefined
      case 'ended':
        await db.transaction((tx) => shutOut(tx, identity, now()))
        log.info('a provider ended an account', { provider: source.name, user: identity.userName })
        return false
      case 'unreachable':
        log.warn('a provider cannot be asked whether an account still holds', {
          provider: source.name,
          user: identity.userName,
          why: confirmation.why,
        })
        return age < source.graceMs
      case 'no-grant':
        return age < source.loginLifeMs
    }
  }
}
