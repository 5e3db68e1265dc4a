// How often clients may ask, how many bytes they may move and how many images they may pull: by account and by address.
import { BlockList, isIPv6 } from 'node:net'
import { RateBuckets, type Remainder } from '#access/rates/rate-buckets.ts'
import { SharedRates } from '#access/rates/shared-rates.ts'
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { forgetFreeRates } from '#db/rate-uses.ts'
import { type Principal, principalName } from '#identity/principal.ts'
import { addressGroup, bareAddress } from '#lib/address-group.ts'
import { parseNetworkRange } from '#lib/network-range.ts'
import { type Rate, writeRate } from '#lib/rate.ts'
import { OciError } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

/** Undefined for no limit. */
export interface Allowance {
  readonly requests: Rate | undefined
  /** Bodies, in both directions. */
  readonly bytes: Rate | undefined
  /** Manifests of images that are fetched. */
  readonly pulls: Rate | undefined
}

export interface RateSettings {
  /** Everything from one address, whoever asks. */
  readonly address: Allowance
  /** Who has no login, by address. */
  readonly anonymous: Allowance
  /** Each account: a user with all his keys, a robot. */
  readonly account: Allowance
  /** Whether there are accounts at all. */
  readonly canLogIn: boolean
  /** Addresses and networks that have no limits at all. */
  readonly exemptNetworks: readonly string[]
  /** Users and robots that have no limits as accounts. */
  readonly exemptAccounts: readonly string[]
}

export type Limited = keyof Allowance
/** Whose limit it is. */
export type LimitedBy = 'address' | 'anonymous' | 'account'

export interface RateSurroundings {
  readonly db: Db
  readonly log: Log
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number
  /** Hears of every refusal. */
  readonly onLimited: (limited: Limited, by: LimitedBy) => void
}

/** Who asks, and from where. */
export interface Asker {
  readonly principal: Principal
  readonly remote?: string | undefined
}

interface Share {
  readonly by: LimitedBy
  readonly allowance: Allowance
  readonly key: string
}

export class RateLimits {
  readonly #settings: RateSettings
  readonly #db: Db
  readonly #buckets: RateBuckets
  readonly #shared: SharedRates
  readonly #onLimited: RateSurroundings['onLimited']
  readonly #networks = new BlockList()
  readonly #accounts: ReadonlySet<string>

  constructor(settings: RateSettings, { db, log, now, onLimited }: RateSurroundings) {
    this.#settings = settings
    this.#db = db
    this.#buckets = new RateBuckets(now)
    this.#shared = new SharedRates(db, this.#buckets, log)
    this.#onLimited = onLimited
    this.#accounts = new Set(settings.exemptAccounts)
    for (const text of settings.exemptNetworks) {
      const range = parseNetworkRange(text)
      if (range) this.#networks.addSubnet(range.address, range.prefixBits, range.family)
    }
  }

  /** A request, before anybody looks who asks. @throws OciError TOO_MANY_REQUESTS */
  arrived(remote: string): void {
    if (this.#isExempt(remote)) return
    this.#spend(this.#ofAddress(remote), 'requests', 1)
  }

  /** The same request, once it is known who asks. @throws OciError TOO_MANY_REQUESTS */
  admit(asker: Asker): void {
    const share = this.#ofAccount(asker)
    if (share) this.#spend(share, 'requests', 1)
  }

  /** Whether a request with content may begin: one that began goes on to its end. @throws OciError TOO_MANY_REQUESTS */
  mayMove(asker: Asker): void {
    if (asker.remote === undefined || this.#isExempt(asker.remote)) return
    this.#refuseAtEnd(this.#ofAddress(asker.remote), 'bytes')
    const share = this.#ofAccount(asker)
    if (share) this.#refuseAtEnd(share, 'bytes')
  }

  /** Bytes of bodies, announced or moved; negative for those that were announced and did not come. */
  moved(asker: Asker, bytes: number): void {
    if (bytes === 0 || asker.remote === undefined || this.#isExempt(asker.remote)) return
    this.#use(this.#ofAddress(asker.remote), 'bytes', bytes)
    this.#use(this.#ofAccount(asker), 'bytes', bytes)
  }

  /** A pull of an image. What is left, as headers. @throws OciError TOO_MANY_REQUESTS */
  pulled(asker: Asker): Record<string, string> {
    const share = this.#ofAccount(asker)
    if (share) this.#spend(share, 'pulls', 1)
    return this.#pullHeaders(share)
  }

  /** What is left of the pulls, for a request that is none. */
  pullsLeft(asker: Asker): Record<string, string> {
    return this.#pullHeaders(this.#ofAccount(asker))
  }

  /** Forgets in the database who is free. */
  async keep(): Promise<void> {
    await this.#db.transaction(forgetFreeRates, { durable: false, locks: NO_LOCKS })
  }

  /** Tells the other processes now what clients used here, and hears of theirs. */
  share(): Promise<void> {
    return this.#shared.share()
  }

  close(): Promise<void> {
    return this.#shared.close()
  }

  #isExempt(remote: string): boolean {
    if (this.#settings.exemptNetworks.length === 0) return false
    const address = bareAddress(remote)
    return this.#networks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  }

  #ofAddress(remote: string): Share {
    return { by: 'address', allowance: this.#settings.address, key: addressGroup(remote) }
  }

  #ofAccount({ principal, remote }: Asker): Share | undefined {
    if (remote === undefined || this.#isExempt(remote)) return undefined
    const name = principalName(principal)
    if (name === undefined)
      return { by: 'anonymous', allowance: this.#settings.anonymous, key: addressGroup(remote) }
    if (this.#accounts.has(name)) return undefined
    return { by: 'account', allowance: this.#settings.account, key: name }
  }

  #spend(share: Share, limited: Limited, amount: number): void {
    this.#refuseAtEnd(share, limited)
    this.#use(share, limited, amount)
  }

  #use(share: Share | undefined, limited: Limited, amount: number): void {
    const rate = share?.allowance[limited]
    if (!share || !rate) return
    this.#buckets.use(bucketKey(share, limited), rate, amount)
    this.#shared.soon()
  }

  #remainder(share: Share, limited: Limited, rate: Rate): Remainder {
    const key = bucketKey(share, limited)
    // Of a client that is new here the others may know more.
    if (!this.#buckets.knows(key)) this.#use(share, limited, 0)
    return this.#buckets.remainder(key, rate)
  }

  #refuseAtEnd(share: Share, limited: Limited): void {
    const rate = share.allowance[limited]
    if (!rate) return
    const { waitMs } = this.#remainder(share, limited, rate)
    if (waitMs === 0) return
    this.#onLimited(limited, share.by)
    const waitSec = Math.ceil(waitMs / 1_000)
    const allowed = writeRate(rate, limited === 'bytes' ? 'bytes' : 'things')
    throw new OciError('TOO_MANY_REQUESTS', {
      message: `too many ${limited} ${WHOSE[share.by]}: ${allowed} are allowed; try again in ${waitSec} s${this.#advice(share, limited)}`,
      detail: { guard: 'rate-limit', limited, by: share.by, allowed },
      headers: {
        'Retry-After': String(waitSec),
        ...(limited === 'pulls' && this.#pullHeaders(share)),
      },
    })
  }

  /** A login helps where accounts may have more. */
  #advice({ by, allowance }: Share, limited: Limited): string {
    if (by !== 'anonymous' || !this.#settings.canLogIn) return ''
    const account = this.#settings.account[limited]
    const own = allowance[limited]
    const isMore = !account || (own && account.amount / account.windowMs > own.amount / own.windowMs)
    return isMore ? ', or log in to be allowed more' : ''
  }

  /** As Docker Hub names them: https://docs.docker.com/docker-hub/usage/pulls/ */
  #pullHeaders(share: Share | undefined): Record<string, string> {
    const rate = share?.allowance.pulls
    if (!share || !rate) return {}
    const { remaining } = this.#remainder(share, 'pulls', rate)
    const window = `w=${Math.round(rate.windowMs / 1_000)}`
    return {
      'RateLimit-Limit': `${rate.amount};${window}`,
      'RateLimit-Remaining': `${remaining};${window}`,
      'Docker-RateLimit-Source': share.key,
    }
  }
}

const WHOSE = {
  address: 'from your address',
  anonymous: 'without a login from your address',
  account: 'of your account',
} as const

function bucketKey({ by, key }: Share, limited: Limited): string {
  return `${limited} ${by} ${key}`
}
