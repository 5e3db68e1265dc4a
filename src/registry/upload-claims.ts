// Who may write to an upload, where several processes could: one request at a time, and a newer one takes over.
//
// A request claims the session's row before it touches the bytes, and gives it back with how far it came. A request that
// finds the row claimed asks the older one to stop, by a signal, and waits for a moment. When nothing comes (the other
// process died, or the signal was lost) it takes the row and copies the bytes into a file of its own: whatever the older
// one still writes goes to a file that is no longer the upload's, and its update of the row changes nothing.
import { setTimeout as wait } from 'node:timers/promises'
import type { TransactionOptions } from '#db/db.ts'
import { uploadLock } from '#db/locks.ts'
import type { Signals } from '#db/signals.ts'
import {
  beginUploadAnew,
  claimUpload,
  findUpload,
  releaseUpload,
  seizeUpload,
  touchUpload,
  type UploadRecord,
} from '#db/uploads.ts'
import { OciError } from '#oci/errors.ts'
import { advance, newRunningHash } from '#registry/live-uploads.ts'
import type { Registry } from '#registry/registry.ts'

const TAKEOVER_TOPIC = 'upload.taken'
/** A request that lives answers well within; one that does not costs a copy. */
const TAKEOVER_WAIT_MS = 3_000
const TAKEOVER_POLL_MS = 25
/** A request that takes long says in the row that it lives, and looks whether the session is still its own. */
export const HEARTBEAT_MS = 30_000

export interface ClaimedUpload {
  readonly session: UploadRecord
  /** Aborted when a newer request takes over. */
  readonly signal: AbortSignal
  /** To be called at the end. The row is given back where the work has not done so: when it failed. Never rejects. */
  release(succeeded: boolean): Promise<void>
}

export interface UploadClaims {
  /** Whether other processes write to the same sessions. */
  readonly isShared: boolean
  /** @throws OciError UPLOAD_BUSY when a newer request comes, BLOB_UPLOAD_UNKNOWN when the session is gone */
  take(registry: Registry, seen: UploadRecord, signal: AbortSignal): Promise<ClaimedUpload>
  close(): void
}

/** Where no other process writes: requests of this one take turns already. */
export const soleClaims: UploadClaims = {
  isShared: false,
  async take(_registry, session, signal) {
    return { session, signal, release: async () => {} }
  },
  close() {},
}

interface Working {
  readonly taken: AbortController
  readonly beating: NodeJS.Timeout
}

export class SharedClaims implements UploadClaims {
  readonly isShared = true
  readonly #writer: string
  readonly #signals: Signals
  /** What this process writes now, by session and claim. */
  readonly #working = new Map<string, Working>()
  readonly #unsubscribe: () => void

  /** `writer` names this process, and no other before or after it. */
  constructor(writer: string, signals: Signals) {
    this.#writer = writer
    this.#signals = signals
    this.#unsubscribe = signals.subscribe(TAKEOVER_TOPIC, (text) =>
      this.#working.get(text)?.taken.abort(new OciError('UPLOAD_BUSY')),
    )
  }

  async take(registry: Registry, seen: UploadRecord, signal: AbortSignal): Promise<ClaimedUpload> {
    const session = await this.#claim(registry, seen, signal)
    const taken = new AbortController()
    const key = keyOf(session)
    const beating = setInterval(() => void this.#beat(registry, session, taken), HEARTBEAT_MS).unref()
    this.#working.set(key, { taken, beating })
    return {
      session,
      signal: AbortSignal.any([signal, taken.signal]),
      release: async (succeeded) => {
        clearInterval(beating)
        this.#working.delete(key)
        if (succeeded) return
        // Who comes next waits in vain for an answer then, and takes it.
        await registry.db
          .transaction((tx) => releaseUpload(tx, session), optionsFor(session))
          .catch((error) => registry.log.warn('an upload could not be given back', { error: String(error) }))
      },
    }
  }

  close(): void {
    this.#unsubscribe()
    for (const { beating } of this.#working.values()) clearInterval(beating)
  }

  async #beat(registry: Registry, session: UploadRecord, taken: AbortController): Promise<void> {
    const beat = { id: session.id, claims: session.claims, now: registry.now() }
    try {
      const isOurs = await registry.db.transaction((tx) => touchUpload(tx, beat), optionsFor(session))
      if (!isOurs) taken.abort(new OciError('UPLOAD_BUSY'))
    } catch (error) {
      registry.log.warn('an upload could not be marked as alive', { error: String(error) })
    }
  }

  async #claim(registry: Registry, { id }: UploadRecord, signal: AbortSignal): Promise<UploadRecord> {
    const { db, now } = registry
    const writer = this.#writer
    const deadline = performance.now() + TAKEOVER_WAIT_MS
    let asked: number | undefined
    for (;;) {
      signal.throwIfAborted()
      const wanted = { id, writer, now: now() }
      const claimed = await db.transaction((tx) => claimUpload(tx, wanted), optionsFor({ id }))
      if (claimed) {
        registry.live.carry(claimed)
        return claimed
      }
      const current = await findUpload(db, id)
      if (!current) throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id } })
      if (current.writer === null) continue
      if (current.claims !== asked) this.#signals.publish(TAKEOVER_TOPIC, keyOf(current))
      asked = current.claims
      if (performance.now() > deadline) {
        const seen = { id, claims: current.claims, writer, now: now() }
        const seized = await db.transaction((tx) => seizeUpload(tx, seen), optionsFor({ id }))
        if (seized) return this.#moved(registry, seized, signal)
      }
      await wait(TAKEOVER_POLL_MS)
    }
  }

  /** The bytes so far in a file that no older request has open; hashed on the way. */
  async #moved(registry: Registry, session: UploadRecord, signal: AbortSignal): Promise<UploadRecord> {
    const { storage, log, db } = registry
    const moved = { ...session, begun: session.claims }
    const [from, to] = [bytesIdOf(session), bytesIdOf(moved)]
    const reader = await storage.openUpload(from)
    log.info('an upload was taken from a request that did not answer', {
      upload: session.id,
      writer: session.writer,
      bytes: reader?.size ?? 0,
    })
    if (reader) {
      const hash = newRunningHash(session.algorithm === 'sha512')
      try {
        const writer = await storage.append(to, 0)
        try {
          for await (const chunk of reader.chunks()) {
            signal.throwIfAborted()
            advance(hash, chunk)
            await writer.write(Buffer.from(chunk))
          }
        } finally {
          await writer.close()
        }
      } finally {
        await reader.close()
      }
      registry.live.keep(session, hash)
    }
    if (!(await db.transaction((tx) => beginUploadAnew(tx, session), optionsFor(session)))) {
      throw new OciError('UPLOAD_BUSY')
    }
    await storage.discard(from)
    return moved
  }
}

/** Where the bytes of a session lie: a file of its id, or one that a takeover began. */
export function bytesIdOf({ id, begun }: Pick<UploadRecord, 'id' | 'begun'>): string {
  return begun === 0 ? id : `${id}${SEPARATOR}${begun}`
}

/** The session that bytes were written for. Ids of sessions have no underscore. */
export function sessionIdOf(bytesId: string): string {
  return bytesId.split(SEPARATOR, 1)[0] ?? bytesId
}

const SEPARATOR = '_'

function keyOf({ id, claims }: UploadRecord): string {
  return `${id} ${claims}`
}

function optionsFor({ id }: { readonly id: string }): TransactionOptions {
  return { durable: false, mayUseReserve: true, locks: [uploadLock(id)] }
}
