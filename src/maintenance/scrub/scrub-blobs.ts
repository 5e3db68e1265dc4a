// Hashes what is stored, blob after blob at a set rate. What does not have its digest is replaced by a good copy where there is one, and
// is otherwise set aside and forgotten: what is broken is absent, never served, and a push of it is asked for its bytes again.

import { hasDigest, readsAs } from '#blobs/has-digest.ts'
import { isMending, isQuarantining } from '#blobs/store.ts'
import { type BlobRecord, blobsAfter, findBlob, type ScrubbedBlob, setBlobVerified } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { blobLock, NO_LOCKS } from '#db/locks.ts'
import { type Usage, usesOfBlob } from '#db/uses-of-blob.ts'
import { recordEvent } from '#events/record.ts'
import { internalCaller } from '#identity/caller.ts'
import { Pace } from '#lib/pace.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { CACHED_CONTENT_BYTES_MAX, type Registry } from '#registry/registry.ts'
import { verifyBlob } from '#registry/verify-blob.ts'

const BLOBS_PER_LOOK = 100
/** So many absent ones in a row are a disk that is not mounted, and no damage of blobs. */
export const ABSENT_IN_A_ROW_MAX = 20
/** Findings that a report names; it counts all. */
export const FINDINGS_MAX = 200
/** Repositories and tags of one finding. */
const USES_MAX = 100
const CALLER = internalCaller('scrub')

export type FindingKind = 'corrupt' | 'missing' | 'repaired'

export interface Finding {
  readonly kind: FindingKind
  readonly digest: Digest
  readonly size: number
  /** Where the bytes were set aside. */
  readonly quarantine: string | null
  /** `team/app`, and `team/app:v1` for tags that stood for a manifest which is gone with it. */
  readonly uses: readonly string[]
}

export interface ScrubReport {
  readonly blobs: number
  readonly bytes: number
  readonly corrupt: number
  readonly missing: number
  readonly repaired: number
  readonly findings: readonly Finding[]
}

export interface ScrubState {
  /** Id of the last blob that is done. */
  readonly after: number
  readonly report: ScrubReport
}

export interface ScrubOptions {
  readonly registry: Registry
  /** Only these; all of them when undefined. */
  readonly digests: readonly Digest[] | undefined
  /** 0 for no limit. */
  readonly bytesPerSecond: number
  readonly signal: AbortSignal
  readonly state: ScrubState | undefined
  readonly checkpoint: (state: ScrubState) => Promise<void>
  readonly onFinding: (kind: FindingKind) => void
}

const NOTHING: ScrubReport = { blobs: 0, bytes: 0, corrupt: 0, missing: 0, repaired: 0, findings: [] }

/** @throws Error when very many are absent in a row: then nothing is forgotten for their sake; the reason of the signal */
export async function scrubBlobs(options: ScrubOptions): Promise<ScrubReport> {
  const { registry, digests, signal, checkpoint } = options
  const work = new Scrub(options)
  if (digests) {
    for (const digest of digests) {
      const blob = await findBlob(registry.db, digest)
      if (blob) await work.look(blob)
    }
    await work.settle()
    return work.report
  }
  for (let after = options.state?.after ?? 0; ; ) {
    signal.throwIfAborted()
    const page = await blobsAfter(registry.db, after, BLOBS_PER_LOOK)
    for (const blob of page) await work.look(blob)
    const last = page.at(-1)
    if (!last || page.length < BLOBS_PER_LOOK) break
    after = last.id
    // What is absent waits for a proof that the store is there.
    if (work.isSettled) await checkpoint({ after, report: work.report })
  }
  await work.settle()
  return work.report
}

class Scrub {
  report: ScrubReport
  readonly #options: ScrubOptions
  readonly #pace: Pace
  #absent: ScrubbedBlob[] = []

  constructor(options: ScrubOptions) {
    this.#options = options
    this.#pace = new Pace(options.bytesPerSecond)
    this.report = options.state?.report ?? NOTHING
  }

  get isSettled(): boolean {
    return this.#absent.length === 0
  }

  async look(blob: ScrubbedBlob): Promise<void> {
    const { registry } = this.#options
    const at = registry.now()
    const isGood = await this.#isGood(blob.digest)
    this.report = { ...this.report, blobs: this.report.blobs + 1, bytes: this.report.bytes + blob.size }
    if (isGood === undefined) {
      this.#absent.push(blob)
      if (this.#absent.length > ABSENT_IN_A_ROW_MAX)
        throw new Error(
          `${this.#absent.length} blobs in a row are not in the store: is it mounted? Nothing was forgotten`,
        )
      return
    }
    // The store is there: what was absent before is gone indeed.
    await this.settle()
    if (isGood) await this.#noteGood(blob, at)
    else await this.#handleBad(blob)
  }

  /** What is absent is forgotten, once it is known that the store is there. */
  async settle(): Promise<void> {
    const absent = this.#absent
    this.#absent = []
    for (const blob of absent) {
      // Pushed or deleted meanwhile.
      if ((await hasDigest(this.#options.registry.storage, blob.digest)) !== undefined) continue
      await this.#forget(blob, 'missing', null)
    }
  }

  async #isGood(digest: Digest): Promise<boolean | undefined> {
    const { registry, signal } = this.#options
    const reader = await registry.storage.open(digest)
    return reader && readsAs(reader, digest, (bytes) => this.#pace.take(bytes, signal))
  }

  async #noteGood({ id, digest }: ScrubbedBlob, at: number): Promise<void> {
    const { db } = this.#options.registry
    const note = async (tx: Transaction) => {
      if ((await findBlob(tx, digest))?.id === id) await setBlobVerified(tx, id, at)
    }
    await db.transaction(note, { durable: false, locks: NO_LOCKS })
  }

  async #handleBad(blob: ScrubbedBlob): Promise<void> {
    const { registry, onFinding } = this.#options
    const { storage, content } = registry
    const { digest, size } = blob
    // A disk may have read wrong, once.
    if (await hasDigest(storage, digest)) return
    const known = size <= CACHED_CONTENT_BYTES_MAX ? content.get(digest) : undefined
    if (known && digestOf(known) === digest) await storage.put(digest, known)
    else if (isMending(storage)) await storage.mend(digest)
    if (await hasDigest(storage, digest)) {
      this.#add({ kind: 'repaired', digest, size, quarantine: null, uses: [] })
      onFinding('repaired')
      registry.log.warn('stored bytes did not have their digest, and were replaced by a good copy', {
        digest,
      })
      return
    }
    const quarantine = isQuarantining(storage) ? await storage.quarantine(digest, registry.now()) : undefined
    if (quarantine === undefined && (await hasDigest(storage, digest))) return
    await this.#forget(blob, 'corrupt', quarantine ?? null)
  }

  /** From now on every look at it hashes it first; the first one is ours, and forgets it. */
  async #forget(blob: ScrubbedBlob, kind: 'corrupt' | 'missing', quarantine: string | null): Promise<void> {
    const { registry, onFinding } = this.#options
    const { digest, size } = blob
    const doubt = async (
      tx: Transaction,
    ): Promise<{ readonly current: BlobRecord; readonly uses: Usage } | undefined> => {
      const current = await findBlob(tx, digest)
      if (current?.id !== blob.id || current.deleting) return undefined
      const uses = await usesOfBlob(tx, current.id, USES_MAX)
      await setBlobVerified(tx, current.id, null)
      for (const repository of uses.repositories)
        await recordEvent(tx, 'blob.corrupted', { repository, digest, size }, CALLER, registry.now())
      for (const { repository, tag, manifest } of uses.tags)
        await recordEvent(tx, 'tag.deleted', { repository, tag, digest: manifest }, CALLER, registry.now())
      return { current, uses }
    }
    const found = await registry.db.transaction(doubt, { mayUseReserve: true, locks: [blobLock(digest)] })
    if (!found || (await verifyBlob(registry, { ...found.current, verifiedAt: null }))) return
    registry.announce()
    const { repositories, tags } = found.uses
    const uses = [...repositories, ...tags.map(({ repository, tag }) => `${repository}:${tag}`)]
    this.#add({ kind, digest, size, quarantine, uses })
    onFinding(kind)
    const message =
      kind === 'corrupt'
        ? 'stored bytes do not have their digest: they are set aside, and are to be pushed again'
        : 'stored bytes are gone: they are to be pushed again'
    registry.log.error(message, { digest, size, quarantine, uses })
  }

  #add(finding: Finding): void {
    const { findings } = this.report
    this.report = {
      ...this.report,
      [finding.kind]: this.report[finding.kind] + 1,
      findings: findings.length < FINDINGS_MAX ? [...findings, finding] : findings,
    }
  }
}
