// Many repositories from one place to another: what changed only, every blob once, and a proof in the end.
// What was copied stays when it is cut off; the same command goes on from there.
import { describeFailure } from '#cli/failure.ts'
import { count, formatBytes } from '#cli/figures.ts'
import type { Session } from '#cli/session.ts'
import type { ReadableCollection, RepositoryPlace, WritableCollection } from '#client/collection.ts'
import { copy } from '#client/copy.ts'
import type { CopyResult } from '#client/copy-options.ts'
import { listedRepository } from '#client/listed-repository.ts'
import { type Difference, proveEqual } from '#client/prove-equal.ts'
import { SentOnce } from '#client/sent-once.ts'
import type { Platform } from '#oci/descriptor.ts'
import { parseRepositoryName, type RepositoryName, type Tag } from '#oci/reference.ts'

export interface SyncPlan {
  readonly source: ReadableCollection
  readonly destination: WritableCollection
  readonly repositories: readonly RepositoryName[]
  /** Which tags of a repository. */
  readonly wants: (repository: RepositoryName, tag: Tag) => boolean
  /** Put before the names at the destination: `mirror` makes `mirror/team/app`. */
  readonly prefix: string | undefined
  readonly referrers: boolean
  readonly platform: Platform | undefined
  readonly parallel: number
  readonly dryRun: boolean
  readonly prove: boolean
}

export interface SyncFailure {
  readonly repository: string
  readonly tag: string | undefined
  readonly kind: string
  readonly message: string
  readonly exitCode: number
}

export interface SyncReport {
  readonly source: string
  readonly destination: string
  readonly dryRun: boolean
  readonly repositories: number
  readonly tags: { total: number; copied: number; unchanged: number }
  readonly copied: { blobs: number; bytes: number }
  readonly mounted: { blobs: number; bytes: number }
  readonly manifestsCopied: { total: number }
  readonly failures: SyncFailure[]
  /** Undefined when nothing was compared. */
  readonly proof:
    | {
        tags: number
        manifests: number
        blobs: number
        bytes: number
        referrers: number
        differences: (Difference & { repository: string })[]
      }
    | undefined
}

const HOPELESS: ReadonlySet<string> = new Set(['unreachable', 'tls', 'ENOSPC'])
const FAILURES_MAX = 1000

/** Tags that tools attach to manifests: they come behind what they are attached to. */
const ATTACHED = /^sha(?:256|512)-[0-9a-f]{64,}/

export async function runSync(session: Session, plan: SyncPlan): Promise<SyncReport> {
  const { source, destination, repositories } = plan
  const report: SyncReport = {
    source: source.label,
    destination: destination.label,
    dryRun: plan.dryRun,
    repositories: repositories.length,
    tags: { total: 0, copied: 0, unchanged: 0 },
    copied: { blobs: 0, bytes: 0 },
    mounted: { blobs: 0, bytes: 0 },
    manifestsCopied: { total: 0 },
    failures: [],
    proof:
      plan.prove && !plan.dryRun
        ? { tags: 0, manifests: 0, blobs: 0, bytes: 0, referrers: 0, differences: [] }
        : undefined,
  }
  const sentOnce = new SentOnce()
  const syncs = repositories.map((name) => new RepositorySync(session, plan, report, sentOnce, name))
  const { progress } = session
  const total = count(repositories.length, 'repository', 'repositories')
  // First what is there on both sides: so a run that was cut off knows where its blobs are before it sends the first one.
  await each(session, plan, syncs, async (sync, done) => {
    await sync.survey()
    progress.status(`${done} of ${total} looked at`)
  })
  await each(session, plan, syncs, async (sync, done) => {
    await sync.run()
    const { blobs, bytes } = report.copied
    progress.status(`${done} of ${total}, ${count(blobs, 'blob')} copied (${formatBytes(bytes)})`)
  })
  return report
}

async function each(
  { signal }: Session,
  { parallel }: SyncPlan,
  syncs: readonly RepositorySync[],
  work: (sync: RepositorySync, done: number) => Promise<void>,
): Promise<void> {
  let done = 0
  const left = syncs.values()
  const worker = async () => {
    for (const sync of left) {
      signal.throwIfAborted()
      done += 1
      await work(sync, done)
    }
  }
  const workers = Array.from({ length: Math.min(parallel, syncs.length) }, worker)
  try {
    await Promise.all(workers)
  } finally {
    // After a failure the others end their repository before anything is closed.
    for (const _ of left);
    await Promise.allSettled(workers)
  }
}

class RepositorySync {
  readonly #session: Session
  readonly #plan: SyncPlan
  readonly #report: SyncReport
  readonly #name: RepositoryName
  readonly #from: RepositoryPlace
  readonly #to: ReturnType<WritableCollection['place']>
  /** The same, for what is sent. */
  readonly #target: ReturnType<SentOnce['place']>
  readonly #tags: Tag[] = []

  constructor(
    session: Session,
    plan: SyncPlan,
    report: SyncReport,
    sentOnce: SentOnce,
    name: RepositoryName,
  ) {
    this.#session = session
    this.#plan = plan
    this.#report = report
    this.#name = name
    this.#from = listedRepository(plan.source.place(name))
    this.#to = plan.destination.place(plan.prefix ? parseRepositoryName(`${plan.prefix}/${name}`) : name)
    this.#target = sentOnce.place(this.#to)
  }

  /** The tags, and what the destination has for them. */
  async survey(): Promise<void> {
    const { wants, dryRun } = this.#plan
    const call = { signal: this.#session.signal }
    await this.#guarded(undefined, async () => {
      for await (const tag of this.#from.tags(call)) if (wants(this.#name, tag)) this.#tags.push(tag)
    })
    this.#tags.sort((a, b) => Number(ATTACHED.test(a)) - Number(ATTACHED.test(b)))
    if (dryRun) return
    await this.#guarded(undefined, async () => {
      for (const tag of this.#tags) await this.#target.resolve({ tag }, call)
    })
  }

  async run(): Promise<void> {
    const good: Tag[] = []
    for (const tag of this.#tags) {
      this.#report.tags.total += 1
      const ok = await this.#guarded(tag, () => (this.#plan.dryRun ? this.#look(tag) : this.#copy(tag)))
      if (ok) good.push(tag)
    }
    await this.#guarded(undefined, () => this.#prove(good))
  }

  /** One image that is broken does not keep the others from being copied: it is told in the end. */
  async #guarded(tag: Tag | undefined, work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      this.#session.signal.throwIfAborted()
      const { kind, message, exitCode } = describeFailure(error)
      // The next repository would fail as well, after as many tries.
      if (HOPELESS.has(kind) || this.#report.failures.length >= FAILURES_MAX) throw error
      this.#report.failures.push({ repository: this.#name, tag, kind, message, exitCode })
      this.#session.say(`${this.#name}${tag ? `:${tag}` : ''} failed: ${message}`)
      return false
    }
  }

  async #look(tag: Tag): Promise<void> {
    const call = { signal: this.#session.signal }
    const [here, there] = await Promise.all([
      this.#from.resolve({ tag }, call),
      this.#to.resolve({ tag }, call),
    ])
    if (!here) return
    if (here.digest === there?.digest) this.#report.tags.unchanged += 1
    else {
      this.#report.tags.copied += 1
      this.#session.say(`${this.#name}:${tag} ${there ? 'would be replaced' : 'would be copied'}`)
    }
  }

  async #copy(tag: Tag): Promise<void> {
    const { platform, referrers } = this.#plan
    const result = await copy(this.#from, this.#target, {
      reference: { tag },
      tags: [tag],
      platform,
      referrers,
      onProgress: this.#session.progress.onBytes,
      signal: this.#session.signal,
    })
    this.#count(tag, result)
  }

  #count(tag: Tag, { copied, mounted, manifestsCopied }: CopyResult): void {
    const report = this.#report
    report.copied.blobs += copied.blobs
    report.copied.bytes += copied.bytes
    report.mounted.blobs += mounted.blobs
    report.mounted.bytes += mounted.bytes
    report.manifestsCopied.total += manifestsCopied
    if (manifestsCopied === 0) report.tags.unchanged += 1
    else {
      report.tags.copied += 1
      const parts = [`${count(copied.blobs, 'blob')} copied (${formatBytes(copied.bytes)})`]
      if (mounted.blobs > 0) parts.push(`${mounted.blobs} mounted`)
      this.#session.say(`${this.#name}:${tag}  ${parts.join(', ')}`)
    }
  }

  async #prove(tags: readonly Tag[]): Promise<void> {
    const { proof } = this.#report
    // One platform of an index is not the index.
    if (!proof || this.#plan.platform) return
    const { referrers } = this.#plan
    const { signal } = this.#session
    const { differences, ...counts } = await proveEqual(this.#from, this.#to, { tags, referrers, signal })
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) proof[name] += counts[name]
    for (const difference of differences) proof.differences.push({ ...difference, repository: this.#name })
  }
}
