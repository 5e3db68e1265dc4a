// Garbage collection from the command line, in the store that a configuration names.
import { type Closers, closeAll } from '#app/closers.ts'
import { openStore, type Store, startFailure } from '#app/open-store.ts'
import { ALONE } from '#app/role.ts'
import { isListing } from '#blobs/store.ts'
import type { Config } from '#config/schema.ts'
import { registrySettings } from '#config/slices.ts'
import { databaseNow } from '#db/clock.ts'
import { FolderTaken } from '#db/folder-lock.ts'
import { LocalSignals } from '#db/signals.ts'
import { openSqlite } from '#db/sqlite.ts'
import { Lru } from '#lib/lru.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import {
  type CollectedGarbage,
  collectOffline,
  collectThroughServer,
  type GcRequest,
} from '#maintenance/gc/offline-gc.ts'
import type { Log } from '#telemetry/log.ts'

/**
 * Collects the garbage of a store: at once when no server has it, else as a job of that server.
 * @throws Error with a sentence for the operator
 */
export async function collectGarbageOf(
  config: Config,
  log: Log,
  request: GcRequest,
): Promise<CollectedGarbage> {
  await using closing = new AsyncDisposableStack()
  const closers: Closers = []
  closing.defer(() => closeAll(closers))
  let store: Store
  try {
    store = await openStore(config, log, ALONE, closers)
  } catch (error) {
    if (!(error instanceof FolderTaken)) throw startFailure(error, config)
    const db = await openSqlite({
      path: config.database.path,
      among: { signals: new LocalSignals(), joins: true },
    })
    closing.defer(() => db.close())
    return collectThroughServer(db, request)
  }
  const { db, storage, tree } = store
  await tree?.pass.run()
  if (tree && !tree.pass.done) throw new Error('a part of the tree could not be read: nothing was deleted')
  const collector: Collector = {
    registry: {
      ...{ db, storage, log, now: Date.now, settings: registrySettings(config) },
      announce: () => tree?.wake(),
      content: new Lru({ weightMax: 0, entryWeightMax: 0 }),
    },
    clock: databaseNow,
    listing: isListing(storage) ? storage : undefined,
    isReady: () => true,
    limits: { deletesPerSecond: 0, bytesPerSecond: 0, share: 1 },
  }
  return { ...(await collectOffline(collector, request)), waits: false }
}
