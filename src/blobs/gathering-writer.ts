// Writes an upload in few large pieces: chunks are gathered while one writev is in flight.
//
// Memory per transfer: at most PENDING_BYTES_MAX and one chunk waiting, and as much again in flight.
import fs from 'node:fs'
import { BACKGROUND_SYNC_BYTES_MIN, type BackgroundSync } from '#blobs/background-sync.ts'
import { closeFile, openFile, removeFile, storageFailure, writeChunks } from '#blobs/file-calls.ts'
import { releaseChunk } from '#blobs/release-chunk.ts'
import type { UploadWriter } from '#blobs/store.ts'

const KiB = 1024
/** A write begins when this much waits: 256 KiB to 4 MiB cost the same CPU, one write a chunk costs twice that. */
const WRITE_BYTES_MIN = 512 * KiB
/** A source waits when this much waits. */
const PENDING_BYTES_MAX = 1024 * KiB
/** The same for tiny chunks, whose own overhead would outweigh their bytes; also what one writev takes (IOV_MAX). */
const PENDING_CHUNKS_MAX = 1024

/**
 * A small upload is written and synced by one call: its commit then needs to open and sync nothing, a third of the calls of
 * a small blob. (An empty file has no data to sync: its commit does that.)
 */
const CREATE_AND_SYNC =
  fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_DSYNC

export interface GatheringWriterOptions {
  readonly path: string
  /** Where the first byte goes. */
  readonly offset: number
  /** The open file; without it the file is created (or emptied) when the first bytes are written. */
  readonly fd?: number
  readonly backgroundSync: BackgroundSync
  /** Told when the whole file was written in one piece that is durable already. */
  readonly onDurable?: () => void
  /** False when the chunks are still somebody else's: their memory is then left alone. */
  readonly ownsChunks?: boolean
}

export class GatheringWriter implements UploadWriter {
  readonly #path: string
  readonly #backgroundSync: BackgroundSync
  readonly #ownsChunks: boolean
  readonly #onDurable: (() => void) | undefined
  /** Bytes at the start of the file that a sync has covered or is about to. */
  #syncedUpTo: number
  #syncing: Promise<void> | undefined
  #fd: number | undefined
  #offset: number
  #written: number
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** Ends when nothing more is to be written now; never rejects. */
  #inFlight: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #closing: Promise<void> | undefined

  constructor(options: GatheringWriterOptions) {
    this.#path = options.path
    this.#offset = options.offset
    this.#written = options.offset
    this.#fd = options.fd
    this.#syncedUpTo = options.offset
    this.#backgroundSync = options.backgroundSync
    this.#ownsChunks = options.ownsChunks ?? true
    this.#onDurable = options.onDurable
  }

  get offset(): number {
    return this.#offset
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure) return Promise.reject(this.#failure.error)
    if (this.#closing) return Promise.reject(new Error('the upload writer is closed'))
    // libuv takes an empty buffer for the end of a writev.
    if (chunk.length === 0) return undefined
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    this.#offset += chunk.length
    if (!this.#inFlight) {
      if (this.#isWorthWriting()) this.#inFlight = this.#writePending()
      return undefined
    }
    const full = this.#pendingBytes >= PENDING_BYTES_MAX || this.#pending.length >= PENDING_CHUNKS_MAX
    return full ? this.#afterFlight(this.#inFlight) : undefined
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  #isWorthWriting(): boolean {
    return this.#pendingBytes >= WRITE_BYTES_MIN || this.#pending.length >= PENDING_CHUNKS_MAX
  }

  async #afterFlight(flight: Promise<void>): Promise<void> {
    await flight
    if (this.#failure) throw this.#failure.error
  }

  async #writePending(flags: string | number = 'w'): Promise<void> {
    const chunks = this.#pending
    const bytes = this.#pendingBytes
    this.#pending = []
    this.#pendingBytes = 0
    try {
      this.#fd ??= await openFile(this.#path, flags)
      if (chunks.length > 0) await writeChunks(this.#fd, chunks, this.#written)
      this.#written += bytes
      if (this.#ownsChunks) for (const chunk of chunks) releaseChunk(chunk)
      this.#syncSometimes(this.#fd)
    } catch (error) {
      this.#fail(error)
    }
    // The next piece leaves before those who waited for this one run, so the disk is never idle meanwhile.
    this.#inFlight = !this.#failure && this.#isWorthWriting() ? this.#writePending() : undefined
  }

  #syncSometimes(fd: number): void {
    if (this.#syncing || this.#written - this.#syncedUpTo < BACKGROUND_SYNC_BYTES_MIN) return
    const sync = this.#backgroundSync.tryBegin(fd)
    if (!sync) return
    this.#syncedUpTo = this.#written
    this.#syncing = sync
      .catch((error) => {
        this.#fail(error)
        // The system tells of lost pages once: a later commit would find nothing wrong with what is left.
        return removeFile(this.#path).catch(() => {})
      })
      .finally(() => {
        this.#syncing = undefined
      })
  }

  #fail(error: unknown): void {
    this.#failure ??= { error: storageFailure(error) }
    this.#pending = []
    this.#pendingBytes = 0
  }

  async #finish(): Promise<void> {
    while (this.#inFlight) await this.#inFlight
    const isWhole = this.#fd === undefined
    if (!this.#failure && (this.#pending.length > 0 || isWhole)) {
      await this.#writePending(isWhole ? CREATE_AND_SYNC : 'w')
    }
    // Also because a number that is closed under a sync may name another file by the time the sync runs.
    await this.#syncing
    try {
      if (this.#fd !== undefined) await closeFile(this.#fd, this.#written)
    } catch (error) {
      // Some file systems tell only here that bytes were lost; after an earlier failure it adds nothing.
      this.#failure ??= { error: storageFailure(error) }
    }
    if (this.#failure) throw this.#failure.error
    if (isWhole && this.#written > 0) this.#onDurable?.()
  }
}
