// Writes a stream to a file in few large pieces: chunks are gathered while one write is under way. Unlike the server's own
// writer it syncs nothing: what a crash takes is downloaded again.
import { writeChunks } from '#blobs/file-calls.ts'
import { giveBack } from '#lib/slab.ts'

const WRITE_BYTES_MIN = 512 * 1024
/** The source waits when this much waits. As much again may be under way. */
const PENDING_BYTES_MAX = 1024 * 1024
/** What one writev takes (IOV_MAX). */
const PENDING_CHUNKS_MAX = 1024

export class FileSink {
  readonly #fd: number
  #position: number
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** Ends when nothing more is to be written now; never rejects. */
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  /** The caller opens and closes the file. */
  constructor(fd: number, position = 0) {
    this.#fd = fd
    this.#position = position
  }

  /** Keeps the chunk until it is written. @throws what an earlier write failed with */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure) throw this.#failure.error
    // libuv takes an empty buffer for the end of a writev.
    if (chunk.byteLength === 0) return undefined
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.byteLength
    if (!this.#writing) {
      if (this.#isWorthWriting()) this.#writing = this.#writePending()
      return undefined
    }
    const full = this.#pendingBytes >= PENDING_BYTES_MAX || this.#pending.length >= PENDING_CHUNKS_MAX
    return full ? this.#writing.then(() => this.#check()) : undefined
  }

  /** Resolves when all is handed to the operating system, or nothing more will be. @throws what a write failed with */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
    this.#check()
    if (this.#pending.length > 0) await this.#writePending()
    this.#check()
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error
  }

  #isWorthWriting(): boolean {
    return this.#pendingBytes >= WRITE_BYTES_MIN || this.#pending.length >= PENDING_CHUNKS_MAX
  }

  async #writePending(): Promise<void> {
    const chunks = this.#pending
    const position = this.#position
    this.#position += this.#pendingBytes
    this.#pending = []
    this.#pendingBytes = 0
    try {
      await writeChunks(this.#fd, chunks, position)
      for (const chunk of chunks) giveBack(chunk)
    } catch (error) {
      this.#failure = { error }
      this.#pending = []
      this.#pendingBytes = 0
    }
    // The next piece leaves before those who waited for this one run, so the disk is never idle meanwhile.
    this.#writing = !this.#failure && this.#isWorthWriting() ? this.#writePending() : undefined
  }
}
