// Sessions of browsers: rows that can be revoked, known by the hash of a random cookie.
import { createHmac } from 'node:crypto'
import type { Directory } from '#access/directory.ts'
import type { Identity } from '#access/rights.ts'
import { hashSecret, isSecret, newSecret, sameHash } from '#access/secrets.ts'
import type { Db } from '#db/db.ts'
import {
  deleteSession,
  findSession,
  insertSession,
  keepSessions,
  pruneSessions,
  type SessionRecord,
  touchSession,
} from '#db/sessions.ts'
import { findUser } from '#db/users.ts'

/** Of one user; the oldest ends when there would be more. */
export const SESSIONS_PER_USER_MAX = 20
/** A session is written again at most so often: each use would be a write. */
const TOUCH_AFTER_MS = 60_000
const USER_AGENT_CHARS_MAX = 300
/** Losing it in a power failure means logging in again, or being idle for a minute longer. */
const VOLATILE = { durable: false }

export interface SessionsOptions {
  readonly db: Db
  readonly directory: Pick<Directory, 'identityOf'>
  /** Without a request for so long a session is over. */
  readonly idleMs: number
  /** After that it is over in any case. */
  readonly lifeMs: number
  readonly now: () => number
}

export interface OpenedSession {
  /** The value of the cookie. */
  readonly cookie: string
  readonly csrfToken: string
  readonly expiresAt: number
}

export interface LiveSession {
  readonly identity: Identity & { readonly kind: 'user' }
  readonly record: SessionRecord
  readonly csrfToken: string
}

export interface SessionOrigin {
  /** How somebody logged in: `password`, or the name of the provider. */
  readonly method: string
  readonly remote: string
  readonly userAgent: string | undefined
}

export class Sessions {
  readonly #options: SessionsOptions

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  /**
   * A new one at each login, so that nobody can have known its cookie before; the one that the browser had ends.
   * Undefined when the user is gone by now.
   */
  async open(
    user: string,
    { method, remote, userAgent }: SessionOrigin,
    before: string | undefined,
  ): Promise<OpenedSession | undefined> {
    const { db, lifeMs, now } = this.#options
    const { text, hash } = newSecret('session')
    const at = now()
    const expiresAt = at + lifeMs
    const isOpen = await db.transaction(async (tx) => {
      if (before !== undefined) await deleteSession(tx, hashSecret(before))
      const found = await findUser(tx, user)
      if (!found || found.disabledAt !== null) return false
      await insertSession(tx, {
        hash,
        userId: found.id,
        method,
        remote,
        userAgent: userAgent?.slice(0, USER_AGENT_CHARS_MAX) ?? null,
        expiresAt,
        now: at,
      })
      await keepSessions(tx, found.id, SESSIONS_PER_USER_MAX)
      return true
    })
    return isOpen ? { cookie: text, csrfToken: csrfTokenOf(text), expiresAt } : undefined
  }

  /** Undefined when there is none of that cookie, or no more. */
  async find(cookie: string): Promise<LiveSession | undefined> {
    const { db, directory, idleMs, now } = this.#options
    if (!isSecret('session', cookie)) return undefined
    const record = await findSession(db, hashSecret(cookie))
    const at = now()
    if (!record || record.expiresAt <= at || record.seenAt + idleMs <= at) return undefined
    const identity = await directory.identityOf({ kind: 'user', name: record.userName })
    if (identity?.kind !== 'user') return undefined
    if (at - record.seenAt > Math.min(TOUCH_AFTER_MS, idleMs / 2))
      await db.transaction((tx) => touchSession(tx, record.id, at), VOLATILE)
    return { identity, record, csrfToken: csrfTokenOf(cookie) }
  }

  async close(cookie: string): Promise<void> {
    await this.#options.db.transaction((tx) => deleteSession(tx, hashSecret(cookie)))
  }

  /** Forgets those that are over. */
  async prune(): Promise<void> {
    const { db, idleMs, now } = this.#options
    const at = now()
    await db.transaction((tx) => pruneSessions(tx, { now: at, seenBefore: at - idleMs }), VOLATILE)
  }
}

/** Told only to who has the session: a page of another site can send the cookie, but does not know this. */
function csrfTokenOf(cookie: string): string {
  return createHmac('sha256', cookie).update('csrf').digest('base64url')
}

export function isCsrfToken({ csrfToken }: LiveSession, sent: string | undefined): boolean {
  return sent !== undefined && sameHash(csrfToken, sent)
}
