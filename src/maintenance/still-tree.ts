// A tree that we do not keep (storage.tree: false). What another program left in it is taken over once; from then on the facts
// alone say what there is, and no link file is read or written.
//
// Link files lag behind while it is so. Who turns them on again gets the events since then written first; where those may
// be pruned already the start is refused: a link that is missing would be taken for something that was deleted.

import type { KeyStore, Linked } from '#blobs/keys.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Db, Transaction } from '#db/db.ts'
import { deleteEventCursor, eventCursor, setEventCursor } from '#db/event-cursors.ts'
import { newestEventId } from '#db/events.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { LINK_TREE } from '#maintenance/link-tree.ts'
import type { OpenTree } from '#maintenance/open-tree.ts'
import { TreePass } from '#maintenance/tree-pass.ts'
import type { Log } from '#telemetry/log.ts'

/** The last event that the link files have, and when they stopped: `<id> <milliseconds since 1970>`; empty while they are kept. */
const STILL_SINCE = 'links_still_since'
/** Set when everything that lay in the tree is known. */
const ADOPTED = 'tree_adopted'

export interface StillTreeOptions {
  readonly db: Db
  readonly storage: BlobStorage
  readonly keys: KeyStore & Linked
  readonly log: Log
  readonly now: () => number
  /** Told when everything is known. */
  readonly onRead?: () => void
}

export async function openStillTree({
  db,
  storage,
  keys,
  log,
  now,
  onRead,
}: StillTreeOptions): Promise<OpenTree> {
  const last = await db.transaction((tx) => stopLinks(tx, now()), { mayUseReserve: true })
  const pass = new TreePass({ db, storage, keys, log, now, watermark: () => last })
  if ((await getSetting(db, ADOPTED)) === 'yes') pass.markDone()
  let running: Promise<void> = Promise.resolve()
  return {
    pass,
    wake() {},
    lag: async () => 0,
    read: () => pass.done,
    start() {
      if (!pass.done) running = adopt()
    },
    async close() {
      await pass.stop()
      await running
    },
  }

  async function adopt(): Promise<void> {
    await pass.run()
    if (!pass.done) return
    await db
      .transaction((tx) => setSetting(tx, ADOPTED, 'yes'), { mayUseReserve: true })
      .catch((error) => log.warn('the tree will be read once more', { error: String(error) }))
    onRead?.()
  }
}

/** Notes how far the link files go, once, and waits for them no longer. Resolves to the last event that they have. */
async function stopLinks(tx: Transaction, now: number): Promise<number> {
  const since = stillSince(await getSetting(tx, STILL_SINCE))
  if (since) return since.event
  const cursor = await eventCursor(tx, LINK_TREE)
  // Where no link was ever written there is nothing to lag behind: what is in the tree is another program's.
  const event = cursor > 0 ? cursor : await newestEventId(tx)
  await setSetting(tx, STILL_SINCE, `${event} ${now}`)
  await deleteEventCursor(tx, LINK_TREE)
  return event
}

/**
 * Has the link files continue where they stopped.
 * @throws Error with a sentence for the operator when the events since then may be gone
 */
export async function continueLinks(db: Db, now: number, writesKeptMs: number): Promise<void> {
  const since = stillSince(await getSetting(db, STILL_SINCE))
  if (!since) return
  if (writesKeptMs > 0 && now - since.at > writesKeptMs) {
    throw new Error(
      'storage.tree was off for longer than events.writeretention, so the link files cannot be brought in step any more: leave storage.tree: false',
    )
  }
  const resume = async (tx: Transaction) => {
    await setEventCursor(tx, LINK_TREE, since.event)
    await setSetting(tx, STILL_SINCE, '')
    await setSetting(tx, ADOPTED, '')
  }
  await db.transaction(resume, { mayUseReserve: true })
}

function stillSince(value: string | undefined): { readonly event: number; readonly at: number } | undefined {
  const [event, at] = (value ?? '').split(' ').map(Number)
  return event !== undefined && at !== undefined ? { event, at } : undefined
}
