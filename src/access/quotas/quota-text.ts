// What clients are told of a quota.
import type { LimitedScope } from '#access/quotas/limits.ts'
import type { Measure } from '#db/usage.ts'
import { showByteAmount } from '#lib/byte-amount.ts'

const NAMES: Record<Measure, readonly [one: string, many: string]> = {
  bytes: ['', ''],
  repositories: ['repository', 'repositories'],
  tags: ['tag', 'tags'],
}

export function amount(measure: Measure, value: number): string {
  if (measure === 'bytes') return showByteAmount(value)
  return `${value} ${NAMES[measure][value === 1 ? 0 : 1]}`
}

function owner({ kind, name }: LimitedScope): string {
  return kind === 'registry' ? 'the registry' : `the ${kind} ${name}`
}

export function exceeded(scope: LimitedScope, measure: Measure, used: number, added: number): string {
  const limit = scope.limits[measure] ?? 0
  return `${owner(scope)} has used ${amount(measure, used)} of ${amount(measure, limit)}, and this push would add ${amount(measure, added)}`
}

export function nearlyUsed(scope: LimitedScope, measure: Measure, used: number): string {
  const limit = scope.limits[measure] ?? 0
  const percent = limit === 0 ? 100 : Math.floor((used / limit) * 100)
  return `${owner(scope)} has used ${percent}% of its quota: ${amount(measure, used)} of ${amount(measure, limit)}`
}
