// Collecting garbage from the command line: at once where the registry is stopped, through its queue where it runs.
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { databaseNow } from '#db/clock.ts'
import type { Db } from '#db/db.ts'
import { blobsOfManifest } from '#db/deleted-manifests.ts'
import { garbageIn, lastBlobId, namesOfBlobs } from '#db/garbage.ts'
import { findJob } from '#db/jobs.ts'
import { repositoriesAfter, repositoryGraph } from '#db/repository-graph.ts'
import { jobKind } from '#jobs/job-kind.ts'
import { enqueue, kindsByName } from '#jobs/queue.ts'
import { beginning, deleteGarbage, searchGarbage } from '#maintenance/gc/collect-garbage.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import { GC } from '#maintenance/gc/gc-job.ts'
import type { Amount } from '#maintenance/gc/gc-report.ts'
import { prepareCollection } from '#maintenance/gc/prepare.ts'

const REPOSITORIES_PER_LOOK = 200
const BLOBS_PER_LOOK = 1_000
const POLL_MS = 500
/** A worker looks every five seconds. */
const UNTAKEN_MS_MAX = 30_000
/** A server that runs waits this long at least between the two steps. */
const GRACE_SECONDS = 120

export interface GcRequest {
  readonly dryRun: boolean
  readonly deleteUntagged: boolean
  /** Told a line at a time, as registry:2 prints them. */
  readonly emit: (line: string) => void
  readonly signal: AbortSignal
}

export interface CollectedGarbage extends Amount {
  /** Whether it is found and not yet deleted: a server that runs waits for the grace. */
  readonly waits: boolean
}

/** Nobody else may use the store meanwhile: so nothing has to wait for a grace. Ignores what could be restored. */
export async function collectOffline(collector: Collector, request: GcRequest): Promise<Amount> {
  const { registry } = collector
  const { dryRun, deleteUntagged, emit, signal } = request
  let manifests = 0
  const run = { dryRun, deleteUntagged, purge: true, graceMs: 0, signal }
  const doomed = new Set<string>()
  const { freed } = await prepareCollection(collector, {
    ...run,
    onManifest(repository, { digest }) {
      manifests += 1
      if (dryRun) doomed.add(`${repository} ${digest}`)
      emit(`manifest eligible for deletion: ${digest}`)
    },
  })
  const marked = await mark(registry.db, doomed, emit)
  const options = { graceMs: 0, dryRun, signal, checkpoint: async () => {} }
  const eligible = [
    ...freed.map(({ digest }) => digest),
    ...(await eligibleBlobs(registry.db, registry.now())),
  ]
  emit('')
  emit(`${marked} blobs marked, ${eligible.length} blobs and ${manifests} manifests eligible for deletion`)
  for (const digest of eligible) emit(`blob eligible for deletion: ${digest}`)
  const state = await searchGarbage(collector, beginning(), options)
  if (dryRun) {
    const { blobs, bytes } = state.found
    return { blobs: blobs + freed.length, bytes: freed.reduce((sum, { size }) => sum + size, bytes) }
  }
  return (await deleteGarbage(collector, state, options)).deleted
}

/** Prints what stays; resolves to how many blobs that are, each counted once a repository. */
async function mark(db: Db, doomed: ReadonlySet<string>, emit: (line: string) => void): Promise<number> {
  const marked = new Set<number>()
  for (let after = 0; ; ) {
    const page = await repositoriesAfter(db, after, REPOSITORIES_PER_LOOK)
    for (const { id, name } of page) {
      emit(name)
      for (const manifest of (await repositoryGraph(db, id)).manifests) {
        if (doomed.has(`${name} ${manifest.digest}`)) continue
        emit(`${name}: marking manifest ${manifest.digest} `)
        const ids = await blobsOfManifest(db, manifest.id)
        for (const blobId of ids) marked.add(blobId)
        for (const digest of await namesOfBlobs(db, ids))
          if (digest !== manifest.digest) emit(`${name}: marking blob ${digest}`)
      }
    }
    after = page.at(-1)?.id ?? after
    if (page.length < REPOSITORIES_PER_LOOK) return marked.size
  }
}

async function eligibleBlobs(db: Db, before: number): Promise<string[]> {
  const digests: string[] = []
  const last = await lastBlobId(db)
  for (let after = 0; after < last; after += BLOBS_PER_LOOK) {
    const slice = { after, to: after + BLOBS_PER_LOOK, before }
    for (const { digest } of await garbageIn(db, slice)) digests.push(digest)
  }
  return digests
}

/** The server that has the store does it as a job. @throws Error when none takes it, or it fails */
export async function collectThroughServer(db: Db, request: GcRequest): Promise<CollectedGarbage> {
  const { dryRun, deleteUntagged, emit, signal } = request
  const input = { dryRun, deleteUntagged, purge: true, graceSeconds: GRACE_SECONDS }
  const kind = jobKind({
    name: GC,
    about: '',
    input: z.object({}).loose(),
    uniqueKey: () => (dryRun ? 'gc dry run' : GC),
    attemptsMax: 5,
    run: async () => ({}),
  })
  const queue = { db, clock: databaseNow, kinds: kindsByName([kind]), announce: () => {} }
  const { id } = await enqueue(queue, { kind: GC, input })
  emit(`the registry runs: it collects as job ${id}`)
  for (let waited = 0; ; waited += POLL_MS) {
    signal.throwIfAborted()
    const job = await findJob(db, id)
    if (!job) throw new Error(`the job ${id} is gone`)
    const seen = JSON.parse(job.result ?? job.progress ?? 'null') as {
      phase?: string
      found?: Amount
      deleted?: Amount
    } | null
    if (job.state === 'failed' || job.state === 'cancelled')
      throw new Error(`the job ${id} ${job.state}: ${job.error ?? ''}`)
    if (job.state === 'done') return { blobs: 0, bytes: 0, ...(seen?.deleted ?? seen?.found), waits: false }
    if (seen?.phase === 'waits for the grace') return { blobs: 0, bytes: 0, ...seen.found, waits: true }
    if (job.startedAt === null && waited > UNTAKEN_MS_MAX)
      throw new Error(`no worker takes the job ${id}: is jobs.concurrency 0 everywhere?`)
    await wait(POLL_MS, undefined, { signal })
  }
}
