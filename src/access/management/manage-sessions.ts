// Browsers that somebody is logged in with: shown, and ended.
import { type Management, timeText, unknown } from '#access/management/management.ts'
import { deleteSessionOf, deleteSessionsOf, sessionsOf } from '#db/sessions.ts'
import { findUser } from '#db/users.ts'

/** Never with anything of its cookie. */
export interface SessionView {
  readonly id: number
  /** `password`, or the name of the provider. */
  readonly method: string
  readonly remote: string | null
  readonly userAgent: string | null
  readonly createdAt: string | null
  readonly seenAt: string | null
  readonly expiresAt: string | null
}

export async function listSessions({ db }: Management, user: string): Promise<SessionView[]> {
  const found = await findUser(db, user)
  if (!found) throw unknown(`the user ${user}`)
  const sessions = await sessionsOf(db, found.id)
  return sessions.map(({ id, method, remote, userAgent, createdAt, seenAt, expiresAt }) => ({
    id,
    method,
    remote,
    userAgent,
    createdAt: timeText(createdAt),
    seenAt: timeText(seenAt),
    expiresAt: timeText(expiresAt),
  }))
}

export async function endSession({ db }: Management, user: string, session: string): Promise<void> {
  const id = /^\d{1,15}$/.test(session) ? Number(session) : -1
  const isEnded = await db.transaction(async (tx) => {
    const found = await findUser(tx, user)
    return found !== undefined && (await deleteSessionOf(tx, found.id, id))
  })
  if (!isEnded) throw unknown(`the session ${session}`)
}

export async function endSessions({ db }: Management, user: string): Promise<void> {
  await db.transaction(async (tx) => {
    if (!(await findUser(tx, user))) throw unknown(`the user ${user}`)
    await deleteSessionsOf(tx, user)
  })
}
