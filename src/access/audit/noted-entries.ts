// Logins and refusals on their way into the audit log: the first of a kind is written soon, its repetitions as one row with
// their number. Whoever floods the registry with them fills neither its memory nor its disk.
import type { NewAuditEntry } from '#db/audit.ts'
import type { AuditResult } from '#db/audit-schema.ts'

/** For so long what repeats is only counted. */
export const REPEATS_MS: Readonly<Record<AuditResult, number>> = {
  done: 10 * 60_000,
  refused: 60_000,
  failed: 60_000,
}
/** So many different ones are told apart meanwhile; the others are counted together, a row for each action. */
export const TOLD_APART_MAX: Readonly<Record<AuditResult, number>> = {
  done: 5_000,
  refused: 100,
  failed: 100,
}
/** While the database takes nothing, so many wait. */
export const WAITING_MAX = 10_000

/** `at`, `until` and `count` come from here. */
export type Noted = Omit<NewAuditEntry, 'at' | 'until' | 'count'>

interface Repeated {
  readonly entry: Noted
  readonly since: number
  first: number
  last: number
  count: number
}

export class NotedEntries {
  readonly #now: () => number
  readonly #repeated = new Map<string, Repeated>()
  readonly #toldApart: Record<AuditResult, number> = { done: 0, refused: 0, failed: 0 }
  #waiting: NewAuditEntry[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  note(entry: Noted): void {
    const now = this.#now()
    const key = JSON.stringify([entry.action, entry.result, entry.actor, entry.target, entry.remote])
    if (this.#repeat(key, now)) return
    if (this.#toldApart[entry.result] < TOLD_APART_MAX[entry.result]) {
      this.#toldApart[entry.result] += 1
      this.#repeated.set(key, { entry, since: now, first: now, last: now, count: 0 })
      this.#write({ ...entry, at: now, until: null, count: 1 })
      return
    }
    const crowd = JSON.stringify([entry.action, entry.result])
    if (this.#repeat(crowd, now)) return
    this.#repeated.set(crowd, { entry: crowdOf(entry), since: now, first: now, last: now, count: 1 })
  }

  #repeat(key: string, now: number): boolean {
    const repeated = this.#repeated.get(key)
    if (!repeated || now - repeated.since >= REPEATS_MS[repeated.entry.result]) return false
    if (repeated.count === 0) repeated.first = now
    repeated.count += 1
    repeated.last = now
    return true
  }

  #write(entry: NewAuditEntry): void {
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(entry)
  }

  /** What is to be written now; at the end, also what is still being counted. */
  take(isEnd = false): readonly NewAuditEntry[] {
    const now = this.#now()
    for (const [key, repeated] of this.#repeated) {
      const { entry, since, first, last, count } = repeated
      if (!isEnd && now - since < REPEATS_MS[entry.result]) continue
      if (count > 0) this.#write({ ...entry, at: first, until: last, count })
      this.#repeated.delete(key)
      if (!isCrowd(entry)) this.#toldApart[entry.result] -= 1
    }
    const taken = this.#waiting
    this.#waiting = []
    return taken
  }

  /** Takes back what could not be written. */
  giveBack(entries: readonly NewAuditEntry[]): void {
    this.#waiting = [...entries, ...this.#waiting].slice(0, WAITING_MAX)
  }
}

const CROWD = JSON.stringify({ of: 'many' })

function crowdOf({ action, result }: Noted): Noted {
  const nobody = { actor: null, target: null, project: null, remote: null, userAgent: null, requestId: null }
  return { action, result, ...nobody, detail: CROWD }
}

function isCrowd({ detail }: Noted): boolean {
  return detail === CROWD
}
