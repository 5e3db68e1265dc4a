// The link files of registry:2 beside the facts: brought in step at the start, kept in step while we run.
//
// Link files are not synced when they are written: that would double the cost of a small push. The death of a process
// loses none, only that of the system does. So the first start after the system was started writes those of the last
// minutes again, from the facts, before it draws any conclusion from a link that is missing.
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type { Batching, KeyStore } from '#blobs/keys.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Db } from '#db/db.ts'
import { eventCursor, firstEventSince, newestEvent, newestEventId, setEventCursor } from '#db/events.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { Dispatcher } from '#events/dispatch.ts'
import { LINK_TREE, linkTree } from '#maintenance/link-tree.ts'
import { TreePass } from '#maintenance/tree-pass.ts'
import type { Log } from '#telemetry/log.ts'

/** Systems write what they hold back within half a minute; this is twenty times that. */
const REPLAYED_MS = 10 * 60_000
const DRAIN_RETRY_MS = 5_000
const STORE_ID_PATH = 'stowage/store-id'
const STORE_ID = 'store_id'
/** The boot of the system in which link files were last written; empty where it is not known. */
export const LINKS_BOOT = 'links_boot'
/** A start waits this long for link files that a crash left, then answers from the facts where they are concerned. */
const CATCH_UP_MS_MAX = 10_000

export interface TreeOptions {
  readonly db: Db
  readonly storage: BlobStorage
  readonly keys: KeyStore & Batching
  readonly log: Log
  readonly now: () => number
}

export interface OpenTree {
  /** Answers for what the pass has not reached. */
  readonly pass: TreePass
  /** Says that events were recorded. */
  wake(): void
  /** Events whose link files are not written. */
  lag(): Promise<number>
  /** Begins the pass, in the background. */
  start(): void
  /** Writes what is left. */
  close(): Promise<void>
}

/** @throws Error with a sentence for the operator when the folder is not the one that the database knows */
export async function openTree({ db, storage, keys, log, now }: TreeOptions): Promise<OpenTree> {
  await checkStoreId(db, keys)
  const boot = await bootId()
  if (boot === '' || (await getSetting(db, LINKS_BOOT)) !== boot) await rewind(db)
  await db.transaction((tx) => setSetting(tx, LINKS_BOOT, boot))
  const startedAfter = await newestEventId(db)
  const dispatcher = new Dispatcher(db, linkTree({ db, storage, keys, startedAfter }), log)
  // What the subscriber has not seen yet is ours, and the tree need not have it.
  let watermark = await eventCursor(db, LINK_TREE)
  const caughtUp = dispatcher.drain().then(
    () => {
      watermark = startedAfter
    },
    () => {},
  )
  await Promise.race([caughtUp, wait(CATCH_UP_MS_MAX, undefined, { ref: false })])
  const pass = new TreePass({ db, storage, keys, log, now, watermark: () => watermark })
  const closing = new AbortController()
  let running: Promise<void> = Promise.resolve()
  return {
    pass,
    wake: () => dispatcher.wake(),
    lag: () => dispatcher.lag(),
    start() {
      running = drained(dispatcher, log, closing.signal).then(async (ready) => {
        if (!ready) return
        watermark = startedAfter
        await pass.run()
      })
    },
    async close() {
      closing.abort()
      await pass.stop()
      await running
      await dispatcher.close()
      await keys.close()
    },
  }
}

/** Repeats until every event that waits has its link files; false when we are closed before. */
async function drained(dispatcher: Dispatcher, log: Log, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      await dispatcher.drain()
      return true
    } catch (error) {
      log.error('link files cannot be written and are tried again', { error: String(error) })
      await wait(DRAIN_RETRY_MS, undefined, { signal }).catch(() => {})
    }
  }
  return false
}

/** Sets the cursor back, so that the link files of the last minutes before the end are written once more. */
async function rewind(db: Db): Promise<void> {
  const newest = await newestEvent(db)
  if (!newest) return
  const first = (await firstEventSince(db, newest.at - REPLAYED_MS)) ?? newest.id
  const cursor = await eventCursor(db, LINK_TREE)
  await db.transaction((tx) => setEventCursor(tx, LINK_TREE, Math.min(cursor, first - 1)))
}

/**
 * The folder and the database carry the same mark. Without this check a disk that is not mounted would look like a tree in
 * which another program deleted everything. A database that is new takes the mark of the folder: so it can be rebuilt.
 */
async function checkStoreId(db: Db, keys: KeyStore): Promise<void> {
  const known = await getSetting(db, STORE_ID)
  const found = (await keys.get(STORE_ID_PATH))?.trim()
  if (known !== undefined && known !== found) {
    throw new Error(
      found === undefined
        ? 'the folder of the blobs is not the one that this database knows: is its disk mounted? ' +
            'If the blobs are lost, remove the database too, and both start anew'
        : 'the folder of the blobs belongs to another database: name the database that lies with it, or remove ' +
            'the one that is named, which is then rebuilt from the folder',
    )
  }
  if (known !== undefined) return
  const id = found || randomUUID()
  if (!found) await keys.put(STORE_ID_PATH, `${id}\n`)
  await db.transaction((tx) => setSetting(tx, STORE_ID, id))
}

/** Changes with every start of the machine; empty where the system does not say. */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}
