// What a collection found, by project and by reason.

/**
 * `unreferenced`: a repository holds it, and no manifest needs it. `unlinked`: nobody holds it: what deleted manifests left.
 * `file`: bytes in the store that no facts know: what a crash left.
 */
export type Reason = 'unreferenced' | 'unlinked' | 'file'

export interface Amount {
  blobs: number
  bytes: number
}

/** JSON: part of a job's progress and result. */
export interface GcReport extends Amount {
  readonly reasons: Record<Reason, Amount>
  /** By name, the largest first; bytes that several projects hold count for the one whose name is first. `''`: of none. */
  readonly projects: readonly ({ readonly project: string } & Amount)[]
}

/** Of more projects, those with the least to free are told as one. */
const PROJECTS_MAX = 1_000
export const OTHER_PROJECTS = '(others)'

export class GcTally {
  readonly #total: Amount = { blobs: 0, bytes: 0 }
  readonly #reasons: Record<Reason, Amount> = {
    unreferenced: { blobs: 0, bytes: 0 },
    unlinked: { blobs: 0, bytes: 0 },
    file: { blobs: 0, bytes: 0 },
  }
  readonly #projects = new Map<string, Amount>()

  /** Goes on where an earlier report ended. */
  constructor(earlier?: GcReport) {
    if (!earlier) return
    Object.assign(this.#total, { blobs: earlier.blobs, bytes: earlier.bytes })
    for (const reason of Object.keys(this.#reasons) as Reason[])
      Object.assign(this.#reasons[reason], earlier.reasons[reason])
    for (const { project, blobs, bytes } of earlier.projects) this.#projects.set(project, { blobs, bytes })
  }

  /** @param project one that holds the blob; null for none */
  add(reason: Reason, size: number, project: string | null): void {
    const name = project ?? ''
    const ofProject = this.#projects.get(name) ?? { blobs: 0, bytes: 0 }
    this.#projects.set(name, ofProject)
    for (const amount of [this.#total, this.#reasons[reason], ofProject]) {
      amount.blobs += 1
      amount.bytes += size
    }
  }

  report(): GcReport {
    const sorted = [...this.#projects].sort(([, a], [, b]) => b.bytes - a.bytes)
    const rest: Amount = { blobs: 0, bytes: 0 }
    for (const [, { blobs, bytes }] of sorted.slice(PROJECTS_MAX)) {
      rest.blobs += blobs
      rest.bytes += bytes
    }
    const shown = sorted.slice(0, PROJECTS_MAX).map(([project, amount]) => ({ project, ...amount }))
    return {
      ...this.#total,
      reasons: structuredClone(this.#reasons),
      projects: rest.blobs > 0 ? [...shown, { project: OTHER_PROJECTS, ...rest }] : shown,
    }
  }
}
