// The link files of registry:2 beside the facts: brought in step at the start, kept in step while we run.
//
// Link files are not synced when they are written: that would double the cost of a small push. The death of a process
// loses none, only that of the system does. So the first start after the system was started writes those of the last
// minutes again, from the facts, before it draws any conclusion from a link that is missing.
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Batching, Durable, KeyStore, Linked } from '#blobs/keys.ts'
import { REPOSITORIES_FOLDER } from '#blobs/layout.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Db, Transaction } from '#db/db.ts'
import { eventCursor, setEventCursor } from '#db/event-cursors.ts'
import { countWriteEventsAfter, firstEventSince, newestEvent, newestEventId } from '#db/events.ts'
import { repositoryPage } from '#db/repositories.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { Dispatcher } from '#events/dispatch.ts'
import { bootId } from '#lib/boot-id.ts'
import { LINK_TREE, linkTree } from '#maintenance/link-tree.ts'
import { continueLinks, openStillTree } from '#maintenance/still-tree.ts'
import { TreePass } from '#maintenance/tree-pass.ts'
import { linksAreWritten, writeMissingLinks } from '#maintenance/write-links.ts'
import type { Log } from '#telemetry/log.ts'

/** Systems write what they hold back within half a minute; this is twenty times that. */
const REPLAYED_MS = 10 * 60_000
const DRAIN_RETRY_MS = 5_000
/** Without a signal too: one may be lost, and pulls are not signalled but count as seen, or old ones would stay. */
const LOOK_MS = 10_000
const STORE_ID_PATH = 'stowage/store-id'
const STORE_ID = 'store_id'
/** The boot of the system in which link files were last written; empty where it is not known. */
export const LINKS_BOOT = 'links_boot'
/** A start waits this long for link files that a crash left, then answers from the facts where they are concerned. */
const CATCH_UP_MS_MAX = 10_000

export interface TreeOptions {
  readonly db: Db
  readonly storage: BlobStorage
  readonly keys: KeyStore & Batching & Durable & Linked
  readonly log: Log
  readonly now: () => number
  /** Whether link files are written, or only what lies there is taken over. */
  readonly kept: boolean
  /** How long events of writes are kept, in milliseconds; 0: for ever. */
  readonly writesKeptMs: number
  /** Told when the pass is done. */
  readonly onRead?: () => void
}

export interface OpenTree {
  /** Answers for what the pass has not reached. */
  readonly pass: TreePass
  /** Says that events were recorded. */
  wake(): void
  /** Events whose link files are not written. */
  lag(): Promise<number>
  /** Whether the pass is done. */
  read(): boolean
  /** Begins the pass, in the background. */
  start(): void
  /** Writes what is left. */
  close(): Promise<void>
}

/** @throws Error with a sentence for the operator when the folder is not the one that the database knows */
export async function openTree(options: TreeOptions): Promise<OpenTree> {
  const { db, storage, keys, log, now, onRead, kept, writesKeptMs } = options
  await checkStoreId(db, keys)
  if (!kept) return openStillTree(options)
  await continueLinks(db, now(), writesKeptMs)
  const boot = await bootId()
  if (boot === '' || (await getSetting(db, LINKS_BOOT)) !== boot) await rewind(db)
  const mayBeLost = await writeMissingLinks({ db, keys, log, boot })
  await checkRepositories(db, keys)
  const cursor = await eventCursor(db, LINK_TREE)
  const begin = async (tx: Transaction) => {
    await setSetting(tx, LINKS_BOOT, boot)
    // From now on no event is pruned before its link files are written.
    await setEventCursor(tx, LINK_TREE, cursor)
  }
  await db.transaction(begin, { mayUseReserve: true })
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
  // By then the system has written back what it held.
  const writtenBack = mayBeLost
    ? setTimeout(() => {
        linksAreWritten(db).catch((error) =>
          log.warn('the link files will be written once more', { error: String(error) }),
        )
      }, REPLAYED_MS).unref()
    : undefined
  const looking = setInterval(() => dispatcher.wake(), LOOK_MS).unref()
  const closing = new AbortController()
  let running: Promise<void> = Promise.resolve()
  return {
    pass,
    wake: () => dispatcher.wake(),
    lag: () => dispatcher.lag(),
    read: () => pass.done,
    start() {
      running = drained(dispatcher, log, closing.signal).then(async (ready) => {
        if (!ready) return
        watermark = startedAfter
        await pass.run()
        if (pass.done) onRead?.()
      })
    },
    async close() {
      clearInterval(looking)
      clearTimeout(writtenBack)
      closing.abort()
      await pass.stop()
      await running
      await dispatcher.close()
      await keys.close()
    },
  }
}

/**
 * For a process that joins another, which keeps the tree and makes the pass: this one only answers for what the pass has not
 * reached, until it is told that there is no such thing.
 */
export async function joinTree(
  { db, storage, keys, log, now }: Pick<TreeOptions, 'db' | 'storage' | 'keys' | 'log' | 'now'>,
  isRead: boolean,
): Promise<OpenTree> {
  const watermark = await eventCursor(db, LINK_TREE)
  const pass = new TreePass({ db, storage, keys, log, now, watermark: () => watermark })
  if (isRead) pass.markDone()
  return {
    pass,
    wake() {},
    lag: async () => 0,
    read: () => pass.done,
    start() {},
    async close() {
      await pass.stop()
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
  const setBack = (tx: Transaction) => setEventCursor(tx, LINK_TREE, Math.min(cursor, first - 1))
  await db.transaction(setBack, { mayUseReserve: true })
}

/**
 * The folder and the database carry the same mark. Without this check a disk that is not mounted would look like a tree in
 * which another program deleted everything. A database that is new takes the mark of the folder: so it can be rebuilt.
 */
async function checkStoreId(db: Db, keys: KeyStore & Durable): Promise<void> {
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
  // Before the database says that it is there: a folder that lost it would be refused.
  await keys.sync(STORE_ID_PATH)
  await db.transaction((tx) => setSetting(tx, STORE_ID, id))
}

/**
 * A folder whose repositories are gone altogether was not emptied by registry:2, which never removes one: a part of the
 * tree is not mounted, or was moved away.
 * @throws Error with a sentence for the operator
 */
async function checkRepositories(db: Db, keys: KeyStore): Promise<void> {
  const [known] = await repositoryPage(db, '', 1)
  if (known === undefined) return
  // What is still to be written may be all that there is.
  if ((await countWriteEventsAfter(db, await eventCursor(db, LINK_TREE))) > 0) return
  for await (const { directory } of keys.list(REPOSITORIES_FOLDER)) if (directory) return
  throw new Error(
    `the folder ${REPOSITORIES_FOLDER} is empty, but the database knows ${known} and perhaps more: is it mounted? ` +
      'If everything was deleted on purpose, remove the database too, and both start anew',
  )
}
