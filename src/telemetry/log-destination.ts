// Where log lines go: a file descriptor, written in the background, with a bounded buffer, and emptied at the end.
// Ours, since sonic-boom's flushSync never returns once the reader of a pipe is gone, which would hang the exit.
import { write, writeSync } from 'node:fs'

/** Lines wait at most this long, so that a busy server makes one system call for many. */
export const LOG_GATHER_MS = 20
/** What may wait while the reader is slow; lines beyond it are dropped and counted. */
export const LOG_BUFFER_BYTES_MAX = 4 * 1024 * 1024
/** How long the last flush waits for a reader that does not read. */
export const LOG_FLUSH_MS_MAX = 1000
const RETRY_MS = 10
const LINE_BREAK = 0x0a

export class LogDestination {
  readonly #fd: number
  readonly #droppedLine: (lines: number) => string
  readonly #writeBytesMax: number
  #waiting: string[] = []
  #waitingChars = 0
  #inFlight: Promise<void> | undefined
  /** What the write in flight has not written yet. */
  #unwritten: Buffer = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  #dropped = 0

  /**
   * @param droppedLine what to write in place of lines that there was no room for
   * @param writeBytesMax so many bytes of whole lines are written at once; a longer line is written alone
   */
  constructor(fd: number, droppedLine: (lines: number) => string, writeBytesMax = Number.POSITIVE_INFINITY) {
    this.#fd = fd
    this.#droppedLine = droppedLine
    this.#writeBytesMax = writeBytesMax
  }

  /** Takes a line that ends in a line break. Never waits, never throws. */
  write(line: string): void {
    // A character is at most three bytes; counting them exactly would cost more than it saves.
    if ((this.#waitingChars + line.length) * 3 > LOG_BUFFER_BYTES_MAX) {
      this.#dropped++
      return
    }
    this.#waiting.push(line)
    this.#waitingChars += line.length
    this.#timer ??= setTimeout(() => this.#start(), LOG_GATHER_MS)
  }

  /** Resolves when everything was written, or the reader has not taken it within LOG_FLUSH_MS_MAX. */
  async flush(): Promise<void> {
    const deadline = AbortSignal.timeout(LOG_FLUSH_MS_MAX)
    while ((this.#waiting.length > 0 || this.#inFlight) && !deadline.aborted) {
      this.#start()
      let expire = () => {}
      const expired = new Promise<void>((resolve) => {
        expire = resolve
      })
      deadline.addEventListener('abort', expire, { once: true })
      await Promise.race([this.#inFlight, expired])
      deadline.removeEventListener('abort', expire)
    }
  }

  /** For the last moment of a process that dies of an error. What a write in flight holds may appear twice. */
  flushSync(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    let bytes = Buffer.concat([this.#unwritten, this.#take()])
    const deadline = performance.now() + LOG_FLUSH_MS_MAX
    while (bytes.length > 0 && performance.now() < deadline) {
      try {
        bytes = bytes.subarray(writeSync(this.#fd, bytes))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
      }
    }
  }

  #start(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#inFlight || this.#waiting.length === 0) return
    this.#unwritten = this.#take()
    this.#inFlight = this.#writeAll().finally(() => {
      this.#inFlight = undefined
      if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#start(), LOG_GATHER_MS)
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#unwritten.length > 0) {
      const { code, written } = await this.#writeSome(this.#next())
      if (code === 'EAGAIN') await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      // Nobody reads any more, or the disk is full: a log that cannot be written must not stop the server.
      else if (code !== undefined) this.#unwritten = Buffer.alloc(0)
      else this.#unwritten = this.#unwritten.subarray(written)
    }
  }

  /** What goes out with the next write. */
  #next(): Buffer {
    const bytes = this.#unwritten
    if (bytes.length <= this.#writeBytesMax) return bytes
    const fitting = bytes.lastIndexOf(LINE_BREAK, this.#writeBytesMax - 1)
    const end = fitting < 0 ? bytes.indexOf(LINE_BREAK) : fitting
    return end < 0 ? bytes : bytes.subarray(0, end + 1)
  }

  #writeSome(bytes: Buffer): Promise<{ code: string | undefined; written: number }> {
    return new Promise((resolve) => {
      write(this.#fd, bytes, (error, written) => resolve({ code: error?.code ?? error?.message, written }))
    })
  }

  #take(): Buffer {
    if (this.#dropped > 0) this.#waiting.push(this.#droppedLine(this.#dropped))
    const bytes = Buffer.from(this.#waiting.join(''))
    this.#waiting = []
    this.#waitingChars = 0
    this.#dropped = 0
    return bytes
  }
}
