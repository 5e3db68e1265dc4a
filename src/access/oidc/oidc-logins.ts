// Logins by OpenID providers, from the first redirect to the user they end with. Between the two the browser, or the command
// line, carries all there is to know, sealed: so no request of a stranger writes a row.
import type { ExternalAccounts } from '#access/external/external-accounts.ts'
import { type LoginKey, makeLoginKey } from '#access/oidc/login-key.ts'
import { LoginRefused } from '#access/oidc/login-refused.ts'
import type { LoggedIn, OidcSource } from '#access/oidc/oidc-source.ts'
import { Seal } from '#access/sealed.ts'
import type { Db } from '#db/db.ts'

/** How long somebody may take to log in at the provider. */
export const LOGIN_MS_MAX = 10 * 60_000
const DEVICE_MS_MAX = 30 * 60_000
const INTERVAL_SEC = 5

export interface OidcLoginsOptions {
  readonly db: Db
  readonly sources: readonly OidcSource[]
  readonly accounts: ExternalAccounts
  /** The same for all processes. */
  readonly sealSecret: string
  readonly now: () => number
}

interface Carried {
  readonly provider: string
  readonly until: number
}

interface CarriedLogin extends Carried {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly returnTo: string
}

interface CarriedDevice extends Carried {
  readonly code: string
}

export interface DeviceStart {
  /** To be given back with every question. */
  readonly device: string
  readonly userCode: string
  readonly verificationUri: string
  readonly verificationUriComplete: string | undefined
  readonly intervalSec: number
  readonly expiresInSec: number
}

export type DeviceAnswer =
  | { readonly kind: 'in'; readonly key: LoginKey }
  | { readonly kind: 'pending'; readonly slower: boolean }
  | { readonly kind: 'denied' | 'expired' }

export class OidcLogins {
  readonly #options: OidcLoginsOptions
  readonly #sources: ReadonlyMap<string, OidcSource>
  readonly #browserSeal: Seal
  readonly #deviceSeal: Seal

  constructor(options: OidcLoginsOptions) {
    this.#options = options
    this.#sources = new Map(options.sources.map((source) => [source.name, source]))
    this.#browserSeal = new Seal(options.sealSecret, 'login of a browser')
    this.#deviceSeal = new Seal(options.sealSecret, 'login of a device')
  }

  get providers(): readonly { readonly name: string; readonly label: string }[] {
    return this.#options.sources.map(({ options: { name, label } }) => ({ name, label }))
  }

  /** By name; the first when none is named. */
  find(name: string | undefined): OidcSource | undefined {
    return name === undefined ? this.#options.sources[0] : this.#sources.get(name)
  }

  async begin(source: OidcSource, redirectUri: string, returnTo: string) {
    const { url, pending } = await source.begin(redirectUri)
    const until = this.#options.now() + LOGIN_MS_MAX
    const carried: CarriedLogin = { provider: source.name, until, returnTo, ...pending }
    return { url: url.href, carried: this.#browserSeal.close(JSON.stringify(carried)) }
  }

  /** @throws LoginRefused */
  async finish(
    carried: string | undefined,
    callback: URL,
  ): Promise<{ readonly user: string; readonly provider: string; readonly returnTo: string }> {
    const login = this.#open<CarriedLogin>(this.#browserSeal, carried)
    const source = login && this.#sources.get(login.provider)
    if (!source)
      throw new LoginRefused('this login took too long, or was begun in another browser: begin again')
    const user = await this.#admit(source, await source.finish(callback, login))
    return { user, provider: source.name, returnTo: login.returnTo }
  }

  async beginDevice(source: OidcSource): Promise<DeviceStart> {
    const started = await source.beginDevice()
    const lifeMs = Math.min(started.expires_in * 1_000, DEVICE_MS_MAX)
    const carried: CarriedDevice = {
      provider: source.name,
      until: this.#options.now() + lifeMs,
      code: started.device_code,
    }
    return {
      device: this.#deviceSeal.close(JSON.stringify(carried)),
      userCode: started.user_code,
      verificationUri: started.verification_uri,
      verificationUriComplete: started.verification_uri_complete,
      intervalSec: Math.max(1, started.interval ?? INTERVAL_SEC),
      expiresInSec: Math.floor(lifeMs / 1_000),
    }
  }

  /** Asks once. @throws LoginRefused */
  async pollDevice(device: string): Promise<DeviceAnswer> {
    const carried = this.#open<CarriedDevice>(this.#deviceSeal, device)
    const source = carried && this.#sources.get(carried.provider)
    if (!source) return { kind: 'expired' }
    const answer = await source.pollDevice(carried.code)
    if (answer.kind !== 'in') return answer
    const { db, now } = this.#options
    const key = await makeLoginKey(db, await this.#admit(source, answer.login), now())
    return key ? { kind: 'in', key } : { kind: 'denied' }
  }

  async #admit(source: OidcSource, { account, sealedGrant }: LoggedIn): Promise<string> {
    // A login without a grant takes none away: the provider may give one at the first consent alone.
    const user = await this.#options.accounts.admit(source, account, sealedGrant ?? undefined)
    if (user === undefined) throw new LoginRefused('this account may not come in here')
    return user
  }

  #open<T extends Carried>(seal: Seal, text: string | undefined): T | undefined {
    const opened = text === undefined ? undefined : seal.open(text)
    const carried = opened === undefined ? undefined : (JSON.parse(opened) as T)
    return carried && carried.until > this.#options.now() ? carried : undefined
  }
}
