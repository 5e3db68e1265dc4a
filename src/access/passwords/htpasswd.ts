// Users and passwords out of an htpasswd file, which is read again when it changes. bcrypt only, as registry:2.
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { costOf, verifyPassword } from '#access/passwords/bcrypt.ts'
import { type HtpasswdContent, readHtpasswd, versionOf } from '#access/passwords/htpasswd-file.ts'
import { BCRYPT_COST, createHtpasswd } from '#access/passwords/htpasswd-write.ts'
import { PasswordChecks } from '#access/passwords/password-checks.ts'
import type { Log } from '#telemetry/log.ts'

export { setHtpasswdUser } from '#access/passwords/htpasswd-write.ts'

/** How often at most the file is looked at. */
export const RELOAD_CHECK_MS = 1000
/** The user of a file that we make ourselves, registry:2's own. */
export const FIRST_USER = 'docker'
const FIRST_PASSWORD_BYTES = 24

export interface HtpasswdOptions {
  readonly file: string
  readonly log: Log
  /** Told once, when the file was missing and has been made. The password is nowhere else: show it to the operator. */
  readonly onCreated: (created: {
    readonly file: string
    readonly user: string
    readonly password: string
  }) => void
  /** Milliseconds; only differences count. */
  readonly now?: () => number
  /** Whether a password belongs to a bcrypt hash. */
  readonly verify?: (password: string, hashed: string) => Promise<boolean>
}

export class Htpasswd {
  readonly #file: string
  readonly #log: Log
  readonly #now: () => number
  readonly #checks: PasswordChecks
  #content: HtpasswdContent
  #decoy: string
  #checkedAt: number
  #looking: Promise<void> | undefined
  /** The state of the file that was read last, whether or not it was any good. */
  #seenVersion: string
  /** What was said last about the file, so that it is said once. */
  #complaint: string | undefined

  private constructor(options: HtpasswdOptions, content: HtpasswdContent) {
    this.#file = options.file
    this.#log = options.log
    this.#now = options.now ?? (() => performance.now())
    this.#checks = new PasswordChecks({ now: this.#now, verify: options.verify ?? verifyPassword })
    this.#content = content
    this.#decoy = decoyFor(content)
    this.#seenVersion = content.version
    this.#checkedAt = this.#now()
    this.#warnOfIgnored()
  }

  /** @throws when the file cannot be read or made, or its content is broken */
  static async open(options: HtpasswdOptions): Promise<Htpasswd> {
    const { file } = options
    if (await isMissing(file)) {
      const password = randomBytes(FIRST_PASSWORD_BYTES).toString('base64url')
      if (await createHtpasswd(file, FIRST_USER, password))
        options.onCreated({ file, user: FIRST_USER, password })
    }
    return new Htpasswd(options, await readHtpasswd(file))
  }

  /**
   * Whether the password is the user's. An unknown user costs what a known one costs.
   * @throws OciError TOO_MANY_REQUESTS
   */
  async check(user: string, password: string): Promise<boolean> {
    await this.#lookAgain()
    const hashed = this.#content.hashes.get(user)
    if (!(await this.#checks.check(user, password, hashed, this.#decoy))) return false
    // The entry may have changed while this waited: then the password was right for one that is no longer in force.
    return hashed !== undefined && this.#content.hashes.get(user) === hashed
  }

  /** Reads the file now, whether or not it seems to have changed. A broken one changes nothing. */
  async reload(): Promise<void> {
    this.#checkedAt = this.#now()
    try {
      const content = await readHtpasswd(this.#file)
      this.#content = content
      this.#decoy = decoyFor(content)
      this.#complaint = undefined
      this.#log.info('htpasswd file read', { file: this.#file, users: content.hashes.size })
      this.#warnOfIgnored()
    } catch (error) {
      this.#complain(error)
    }
  }

  async #lookAgain(): Promise<void> {
    if (this.#now() - this.#checkedAt >= RELOAD_CHECK_MS) {
      this.#checkedAt = this.#now()
      this.#looking = this.#reloadIfChanged().finally(() => {
        this.#looking = undefined
      })
    }
    await this.#looking
  }

  async #reloadIfChanged(): Promise<void> {
    try {
      const version = versionOf(await stat(this.#file, { bigint: true }))
      if (version === this.#seenVersion) return
      this.#seenVersion = version
      await this.reload()
    } catch (error) {
      this.#complain(error)
    }
  }

  #complain(error: unknown): void {
    const complaint = String(error)
    if (complaint === this.#complaint) return
    this.#complaint = complaint
    this.#log.error('htpasswd file cannot be used: the last good content stays in force', {
      file: this.#file,
      error,
    })
  }

  #warnOfIgnored(): void {
    for (const { user, why } of this.#content.ignored)
      this.#log.warn('htpasswd entry ignored', { file: this.#file, user, why })
  }
}

async function isMissing(file: string): Promise<boolean> {
  try {
    await stat(file)
    return false
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}

/** A hash that no password is known for, at the cost that most users have. */
function decoyFor(content: HtpasswdContent): string {
  const counts = new Map<number, number>()
  for (const hashed of content.hashes.values()) {
    const cost = costOf(hashed)
    counts.set(cost, (counts.get(cost) ?? 0) + 1)
  }
  const [commonest] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [BCRYPT_COST]
  return `$2y$${String(commonest).padStart(2, '0')}$${'.'.repeat(53)}`
}
