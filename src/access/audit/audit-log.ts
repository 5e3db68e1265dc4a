// The audit log: who did what, to what, from where, with what result.
//
// Changes are written with the transaction that makes them; pushes and deletes are taken from the events, which were; logins
// and refusals are counted in memory first. All of it is chained a little later, in order, by whichever process comes to it.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { AUDIT_CURSOR } from '#access/audit/audit-cursor.ts'
import { AuditKey } from '#access/audit/audit-key.ts'
import { type ChainPlace, GENESIS, placeAfter } from '#access/audit/chain.ts'
import { entryOfEvent } from '#access/audit/event-entries.ts'
import { type Noted, NotedEntries } from '#access/audit/noted-entries.ts'
import {
  type AuditCheckpointRecord,
  type AuditEntryRecord,
  auditCheckpoints,
  auditHead,
  deleteAuditCheckpoint,
  deleteAuditCheckpointsBefore,
  deleteAuditEntriesUpTo,
  insertAuditEntry,
  type NewAuditEntry,
  putAuditCheckpoint,
  sealAuditEntry,
  unsealedAuditEntries,
} from '#db/audit.ts'
import type { Db, Transaction } from '#db/db.ts'
import { eventCursor, setEventCursor } from '#db/event-cursors.ts'
import { type EventRecord, eventHorizon, writeEventsAfter } from '#db/events.ts'
import { AUDIT_LOCK } from '#db/locks.ts'
import { projectOf } from '#identity/account-name.ts'
import type { RepositoryName } from '#oci/reference.ts'

const ENTRIES_PER_SEAL = 200
const ENTRIES_PER_CUT = 500
/** One checkpoint an hour is kept, and the last. */
const CHECKPOINT_MS = 3_600_000
/** One sealer at a time, whatever process it is in. */
const LOCKS = [AUDIT_LOCK]

export interface AuditLogOptions {
  readonly db: Db
  /** How many components name a project. */
  readonly projectDepth: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export class AuditLog {
  readonly #db: Db
  readonly #now: () => number
  readonly #key: AuditKey
  readonly #noted: NotedEntries
  readonly #projectDepth: number

  private constructor({ db, now, projectDepth }: AuditLogOptions, key: AuditKey) {
    this.#db = db
    this.#projectDepth = projectDepth
    this.#now = now
    this.#key = key
    this.#noted = new NotedEntries(now)
  }

  /** What was pushed before there was a log is not in it. */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const { db, now } = options
    await db.transaction(async (tx) => {
      if ((await eventCursor(tx, AUDIT_CURSOR)) === 0)
        await setEventCursor(tx, AUDIT_CURSOR, await eventHorizon(tx))
    })
    return new AuditLog(options, await AuditKey.open(db, now))
  }

  projectOf(repository: RepositoryName): string {
    return projectOf(repository, this.#projectDepth)
  }

  /** Of a login or a refusal. Costs no query; a crash may lose the last seconds. */
  note(entry: Noted): void {
    this.#noted.note(entry)
  }

  /** Of a change, in the transaction that makes it. */
  async record(tx: Transaction, entry: Omit<Noted, 'result'>): Promise<void> {
    await insertAuditEntry(tx, { ...entry, result: 'done', at: this.#now(), until: null, count: 1 })
  }

  /** Writes what was noted, and chains what is new. @param isEnd also what is still being counted */
  async seal(isEnd = false): Promise<void> {
    await this.#writeNoted(isEnd)
    while (await this.#sealSome()) await yieldToLoop()
  }

  async #writeNoted(isEnd: boolean): Promise<void> {
    const entries = this.#noted.take(isEnd)
    if (entries.length === 0) return
    const write = async (tx: Transaction) => {
      for (const entry of entries) await insertAuditEntry(tx, entry)
    }
    await this.#db.transaction(write, { durable: false }).catch((error) => {
      this.#noted.giveBack(entries)
      throw error
    })
  }

  /** True when there may be more. */
  async #sealSome(): Promise<boolean> {
    const from = await eventCursor(this.#db, AUDIT_CURSOR)
    // Asked before the events are: whatever they leave out up to here is no write.
    const newest = await eventHorizon(this.#db)
    const events = newest > from ? await writeEventsAfter(this.#db, from, ENTRIES_PER_SEAL) : []
    const last = events.at(-1)
    const isFull = events.length === ENTRIES_PER_SEAL
    const seen = last && (isFull || last.id > newest) ? last.id : newest
    const waiting = await unsealedAuditEntries(this.#db, ENTRIES_PER_SEAL)
    if (seen <= from && waiting.length === 0) return false
    const work = (tx: Transaction) => this.#sealIn(tx, { from, seen, events })
    await this.#db.transaction(work, { durable: false, locks: LOCKS })
    return isFull || waiting.length === ENTRIES_PER_SEAL
  }

  /** Does nothing when another process was there first. */
  async #sealIn(
    tx: Transaction,
    { from, seen, events }: { from: number; seen: number; events: readonly EventRecord[] },
  ): Promise<void> {
    if ((await eventCursor(tx, AUDIT_CURSOR)) !== from) return
    const waiting = await unsealedAuditEntries(tx, ENTRIES_PER_SEAL)
    const happened = events.flatMap((event) => entryOfEvent(event, this.#projectDepth) ?? [])
    const entries: readonly (NewAuditEntry | AuditEntryRecord)[] = [...waiting, ...happened].sort(
      (one, other) => one.at - other.at,
    )
    const head = await auditHead(tx)
    let place: ChainPlace = head ?? GENESIS
    for (const entry of entries) {
      place = placeAfter(place, entry)
      if ('id' in entry) await sealAuditEntry(tx, entry.id, place)
      else await insertAuditEntry(tx, entry, place)
    }
    if (entries.length > 0) await this.#checkpoint(tx, place, head)
    if (seen > from) await setEventCursor(tx, AUDIT_CURSOR, seen)
  }

  async #checkpoint(
    tx: Transaction,
    { position, hash }: ChainPlace,
    head: AuditCheckpointRecord | undefined,
  ): Promise<void> {
    const at = this.#now()
    await putAuditCheckpoint(tx, this.#key.sign({ kind: 'seal', position, hash, at }))
    const isSameHour = head && Math.floor(head.at / CHECKPOINT_MS) === Math.floor(at / CHECKPOINT_MS)
    if (isSameHour && head.kind === 'seal') await deleteAuditCheckpoint(tx, head.position)
  }

  /**
   * Deletes what is older than `keepMs`, up to a checkpoint, which says from then on where the log begins. Resolves to the
   * number of entries.
   */
  async cut(keepMs: number): Promise<number> {
    const before = this.#now() - keepMs
    const checkpoints = await auditCheckpoints(this.#db)
    const target = checkpoints.findLast(({ kind, at }) => kind === 'cut' || at < before)
    if (!target) return 0
    if (target.kind !== 'cut') {
      const { position, hash } = target
      const cut = this.#key.sign({ kind: 'cut', position, hash, at: this.#now() })
      await this.#db.transaction(
        async (tx) => {
          await putAuditCheckpoint(tx, cut)
          await deleteAuditCheckpointsBefore(tx, position)
          await this.record(tx, cutEntry({ position, hash }))
        },
        { locks: LOCKS },
      )
    }
    // A crash leaves the rest to the next time.
    for (let deleted = 0; ; ) {
      const step = await this.#db.transaction(
        (tx) => deleteAuditEntriesUpTo(tx, target.position, ENTRIES_PER_CUT),
        { durable: false, mayUseReserve: true },
      )
      deleted += step
      if (step < ENTRIES_PER_CUT) return deleted
      await yieldToLoop()
    }
  }
}

function cutEntry(place: ChainPlace): Omit<Noted, 'result'> {
  const detail = JSON.stringify({ position: place.position, hash: place.hash })
  const nobody = { actor: null, target: null, project: null, remote: null, userAgent: null, requestId: null }
  return { action: 'audit.cut', detail, ...nobody }
}
