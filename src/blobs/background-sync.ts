// Lets the disk work on a large upload while it is still arriving, instead of all at once when it is committed.
//
// Measured with 1 GiB: written and durable after 1.9 s instead of 2.8 s, for the same CPU; it also keeps the memory that
// the system holds for unwritten pages small.
import { syncData } from '#blobs/file-calls.ts'

/** A file is worth a sync in the background when this much was written since the last one. */
export const BACKGROUND_SYNC_BYTES_MIN = 64 * 1024 * 1024

/** One at a time for the whole store: a sync holds a thread of libuv's pool, and pulls need the others. */
export class BackgroundSync {
  #busy = false

  /** Begins a sync of the file, or does nothing when another one runs. Rejects when bytes were lost. */
  tryBegin(fd: number): Promise<void> | undefined {
    if (this.#busy) return undefined
    this.#busy = true
    return syncData(fd).finally(() => {
      this.#busy = false
    })
  }
}
