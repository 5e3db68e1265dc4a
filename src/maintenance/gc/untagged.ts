// Deletes manifests without a tag, where that is wanted: but not what an index or a referrer that is kept needs, nor what was
// pushed a moment ago.

import type { Transaction } from '#db/db.ts'
import { repositoryLock } from '#db/locks.ts'
import { findManifest } from '#db/manifests.ts'
import {
  deletionsIn,
  type GraphManifest,
  isTied,
  repositoriesAfter,
  repositoryGraph,
} from '#db/repository-graph.ts'
import { tagsOfManifest } from '#db/tags.ts'
import { type Caller, internalCaller } from '#identity/caller.ts'
import type { Collected } from '#maintenance/gc/collector.ts'
import { inOrderOfRemoval, keptManifests } from '#maintenance/gc/kept-manifests.ts'
import { Rest } from '#maintenance/gc/slices.ts'
import { isRepositoryName, type RepositoryName } from '#oci/reference.ts'
import { removeManifest } from '#registry/remove-manifest.ts'

const REPOSITORIES_PER_LOOK = 200

export interface UntaggedOptions {
  /** Younger ones are kept: a push may go on to tag them, or to list them in an index. Milliseconds. */
  readonly graceMs: number
  readonly dryRun: boolean
  /** Whether they can be restored. */
  readonly isRecoverable: boolean
  readonly share: number
  readonly signal: AbortSignal
  readonly onManifest?: ((repository: string, manifest: GraphManifest) => void) | undefined
}

/** Resolves to how many were deleted, or would be. */
export async function deleteUntagged(registry: Collected, options: UntaggedOptions): Promise<number> {
  const rest = new Rest(options.share)
  let deleted = 0
  for (let after = 0; ; ) {
    const page = await repositoriesAfter(registry.db, after, REPOSITORIES_PER_LOOK)
    for (const { id, name } of page) {
      options.signal.throwIfAborted()
      const start = performance.now()
      if (isRepositoryName(name)) deleted += await deleteUntaggedIn(registry, id, name, options)
      await rest.after(performance.now() - start, options.signal)
    }
    after = page.at(-1)?.id ?? after
    if (page.length < REPOSITORIES_PER_LOOK) return deleted
  }
}

async function deleteUntaggedIn(
  registry: Collected,
  repositoryId: number,
  repository: RepositoryName,
  { graceMs, dryRun, isRecoverable, onManifest }: UntaggedOptions,
): Promise<number> {
  const before = registry.now() - graceMs
  const graph = await repositoryGraph(registry.db, repositoryId)
  const tagged = new Set(graph.tags.map(({ manifestId }) => manifestId))
  const gone = await deletionsIn(registry.db, repositoryId, before)
  const kept = keptManifests(graph, {
    isRoot: ({ id, createdAt }) => tagged.has(id) || createdAt > before,
    isSubjectJustGone: ({ subject }) => subject !== null && gone.has(subject),
  })
  const going = inOrderOfRemoval(graph, (id) => kept.has(id))
  let deleted = 0
  for (const manifest of going) {
    const removal = { repositoryId, repository, manifest, isRecoverable, caller: internalCaller('gc') }
    if (!dryRun && !(await removeIfUntied(registry, removal))) continue
    deleted += 1
    onManifest?.(repository, manifest)
  }
  return deleted
}

/** Looks again in the transaction: a push may have tagged it, or listed it in an index, since. False when it stays. */
export async function removeIfUntied(
  registry: Collected,
  removal: {
    readonly repositoryId: number
    readonly repository: RepositoryName
    readonly manifest: GraphManifest
    readonly isRecoverable: boolean
    readonly caller: Caller
  },
): Promise<boolean> {
  const { repositoryId, repository, manifest } = removal
  const now = registry.now()
  const remove = async (tx: Transaction) => {
    const current = await findManifest(tx, repository, manifest.digest)
    if (current?.id !== manifest.id) return false
    if ((await tagsOfManifest(tx, current.id)).length > 0) return false
    if (await isTied(tx, repositoryId, manifest)) return false
    await removeManifest(tx, registry, { ...removal, manifest: current, now })
    return true
  }
  const isRemoved = await registry.db.transaction(remove, {
    mayUseReserve: true,
    locks: [repositoryLock(repository)],
  })
  registry.announce()
  return isRemoved
}
