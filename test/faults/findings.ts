// What went wrong, by kind: the run fails when anything did.

export const FINDING_KINDS = {
  lost: 'lost',
  corrupt: 'corrupt',
  undead: 'deleted but there',
  unacknowledged: 'visible but unacknowledged tags',
  torn: 'facts and files that disagree',
  other: 'other',
} as const

export type FindingKind = keyof typeof FINDING_KINDS

const TOLD_MAX = 20

export class Findings {
  readonly counts: Record<FindingKind, number> = {
    lost: 0,
    corrupt: 0,
    undead: 0,
    unacknowledged: 0,
    torn: 0,
    other: 0,
  }
  readonly #told: string[] = []

  add(kind: FindingKind, what: string): void {
    this.counts[kind] += 1
    if (this.#told.length < TOLD_MAX) this.#told.push(`${FINDING_KINDS[kind]}: ${what}`)
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }

  /** The first of them, one a line. */
  get told(): readonly string[] {
    return this.#told
  }
}
