// What the operations of the management work with.
import type { DatabaseDirectory } from '#access/database-directory.ts'
import { Refusal } from '#access/management/refusal.ts'
import type { DefaultLimits } from '#access/quotas/limits.ts'
import type { Identity } from '#access/rights.ts'
import type { Sessions } from '#access/sessions/sessions.ts'
import type { Db } from '#db/db.ts'
import type { UsageDifference } from '#db/usage-recount.ts'
import type { Unsealed } from '#events/webhooks/deliverer.ts'

export interface Management {
  readonly db: Db
  readonly directory: DatabaseDirectory
  readonly sessions: Sessions
  readonly quotas: Quotas
  readonly webhooks: WebhookSafety
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** What an address and a secret that a user gives have to pass. */
export interface WebhookSafety {
  /** @throws OutboundError for an address that must not be reached */
  check(url: string): Promise<void>
  seal(unsealed: Unsealed): string
  unseal(sealed: string): Unsealed | undefined
}

export interface Quotas {
  /** Of the configuration. */
  readonly defaults: DefaultLimits
  /** Counts everything anew; resolves to what was counted wrong. */
  prove(): Promise<readonly UsageDifference[]>
}

/** Who manages: a person, with all that he may. */
export type Manager = Identity & { readonly kind: 'user' }

/** One page of a list, by name. */
export interface Paging {
  readonly after: string
  readonly limit: number
}

export interface Listed<T> {
  readonly items: readonly T[]
  /** The name to go on after; undefined on the last page. */
  readonly next: string | undefined
}

export function listed<T>(rows: readonly T[], limit: number, name: (row: T) => string): Listed<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, next: rows.length > limit && last !== undefined ? name(last) : undefined }
}

/** Times as the API writes them. */
export function timeText(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

/** @throws Refusal unknown, or stale when a version was expected */
export function checkUpdated(isUpdated: boolean, what: string, isThere: boolean): void {
  if (isUpdated) return
  throw isThere ? stale(what) : unknown(what)
}

/** @throws Refusal stale, when a version was expected and it is another */
export function checkVersion(
  { version }: { readonly version: number },
  expected: number | undefined,
  what: string,
): void {
  if (expected !== undefined && version !== expected) throw stale(what)
}

function stale(what: string): Refusal {
  return new Refusal('stale', `${what} was changed meanwhile: read it again, then change it`)
}

export function unknown(what: string): Refusal {
  return new Refusal('unknown', `${what} does not exist`)
}
