// What the server acknowledged, and what it may or may not have done when it was killed.

export interface Acknowledged {
  /** Repository and digest of every blob that got its 201, with its bytes' number. */
  readonly blobs: Map<string, { repository: string; digest: string; size: number }>
  readonly manifests: Map<string, { repository: string; digest: string }>
  /** What a tag may point at now: what was acknowledged last, and everything that was under way since. Null: absent. */
  readonly tags: Map<string, { repository: string; tag: string; may: Set<string | null> }>
  /** Blobs and manifests whose delete got its 202 and that nobody pushed again. */
  readonly deleted: Map<string, { repository: string; digest: string }>
  /** Sessions that were open when the server died: its answer tells where to go on. */
  readonly uploads: Map<string, { path: string; bytes: Buffer; digest: string; repository: string }>
  pushes: number
}

export function emptyLedger(): Acknowledged {
  return {
    blobs: new Map(),
    manifests: new Map(),
    tags: new Map(),
    deleted: new Map(),
    uploads: new Map(),
    pushes: 0,
  }
}

/** A tag is about to be moved: until the answer comes both are possible. */
export function tagUnderWay(ledger: Acknowledged, repository: string, tag: string, to: string | null): void {
  const key = `${repository}:${tag}`
  const entry = ledger.tags.get(key) ?? { repository, tag, may: new Set([null]) }
  entry.may.add(to)
  ledger.tags.set(key, entry)
}

export function tagAcknowledged(
  ledger: Acknowledged,
  repository: string,
  tag: string,
  to: string | null,
): void {
  ledger.tags.set(`${repository}:${tag}`, { repository, tag, may: new Set([to]) })
}
