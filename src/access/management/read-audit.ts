// The audit log as the API shows it.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { type AuditEntryView, auditEntryView } from '#access/audit/entry-view.ts'
import { REPEATS_MS } from '#access/audit/noted-entries.ts'
import { type Listed, type Management, type Paging, timeText } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import {
  type AuditEntryRecord,
  type AuditFilter,
  auditBounds,
  auditCheckpoints,
  auditEntriesAfter,
  auditEntriesBetween,
  auditKeys,
} from '#db/audit.ts'

/** Of a filter that matches little: so many entries are looked at for one page, which may then hold few, or none. */
const LOOKED_AT_MAX = 100_000
const LOOKED_AT_ONCE = 10_000

export type AuditSort = '-id' | 'id' | 'position'

/** By id, the newest first or the oldest; by position only whole, which is what a check of the chain reads. */
export async function listAudit(
  { db }: Management,
  { sort, ...filter }: AuditFilter & { readonly sort: AuditSort },
  { after, limit }: Paging,
): Promise<Listed<AuditEntryView>> {
  const from = after === '' ? undefined : wholeNumber(after)
  if (sort === 'position') {
    if (Object.values(filter).some((value) => value !== undefined))
      throw new Refusal('invalid', 'the chain is read whole: leave the filters out, or sort by id')
    const rows = await auditEntriesAfter(db, from ?? 0, limit + 1)
    return pageOf(rows, limit, ({ position }) => position ?? 0)
  }
  const isNewestFirst = sort === '-id'
  const { first, last } = await auditBounds(db, {
    since: filter.since,
    until: filter.until,
    slackMs: REPEATS_MS.done,
  })
  const items: AuditEntryRecord[] = []
  let low = isNewestFirst ? first - 1 : Math.max(first - 1, from ?? 0)
  let high = isNewestFirst ? Math.min(last, (from ?? last + 1) - 1) : last
  for (let looked = 0; low < high && looked < LOOKED_AT_MAX; looked += LOOKED_AT_ONCE) {
    const edge = isNewestFirst ? Math.max(low, high - LOOKED_AT_ONCE) : Math.min(high, low + LOOKED_AT_ONCE)
    const range = isNewestFirst ? { from: edge, to: high } : { from: low, to: edge }
    const wanted = limit + 1 - items.length
    items.push(...(await auditEntriesBetween(db, { ...range, newestFirst: isNewestFirst }, filter, wanted)))
    if (items.length > limit) return pageOf(items, limit, ({ id }) => id)
    if (isNewestFirst) high = edge
    else low = edge
    await yieldToLoop()
  }
  const next = low < high ? String(isNewestFirst ? high + 1 : low) : undefined
  return { items: items.map(auditEntryView), next }
}

function pageOf(
  rows: readonly AuditEntryRecord[],
  limit: number,
  place: (entry: AuditEntryRecord) => number,
): Listed<AuditEntryView> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return {
    items: items.map(auditEntryView),
    next: rows.length > limit && last ? String(place(last)) : undefined,
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Refusal('invalid', 'after must be what the link to this page says')
  return Number(text)
}

/** What the chain is checked with: by whoever wants to, without trusting this registry's own word. */
export async function auditSeals({ db }: Management) {
  const checkpoints = (await auditCheckpoints(db)).map((checkpoint) => ({
    ...checkpoint,
    at: timeText(checkpoint.at),
  }))
  const keys = (await auditKeys(db)).map(({ kid, publicJwk, createdAt }) => ({
    kid,
    jwk: JSON.parse(publicJwk) as Record<string, unknown>,
    createdAt: timeText(createdAt),
  }))
  return { checkpoints, keys }
}
