// The body of a reply as it comes in: chunks that are lent, and no more read than somebody waits for.
import { giveBack } from '#lib/slab.ts'

/** What a reader needs of a body, whoever brings it. */
export interface Body extends AsyncIterable<Uint8Array> {
  destroy(error?: Error): void
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** Chunks that came while the one before is being used. */
const AHEAD_MAX = 2

export class ReplyBody implements Body {
  readonly #chunks: Uint8Array[] = []
  readonly #resume: () => void
  readonly #cut: () => void
  #paused = false
  #ended = false
  #failure: Error | undefined
  #wake: (() => void) | undefined

  /** `resume` has the connection read on; `cut` ends it. */
  constructor(resume: () => void, cut: () => void) {
    this.#resume = resume
    this.#cut = cut
  }

  /** False: no more until `resume`. */
  push(chunk: Uint8Array): boolean {
    if (this.#failure) {
      giveBack(chunk)
      return false
    }
    this.#chunks.push(chunk)
    this.#wake?.()
    this.#paused = this.#chunks.length >= AHEAD_MAX
    return !this.#paused
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  destroy(error = new Error('the reply is not wanted any more')): void {
    if (this.#ended && this.#chunks.length === 0) return
    this.#failure ??= error
    for (const chunk of this.#chunks.splice(0)) giveBack(chunk)
    this.#cut()
    this.#wake?.()
  }

  /** A failure is told to whoever reads. */
  on(): this {
    return this
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        if (this.#failure) throw this.#failure
        const chunk = this.#chunks.shift()
        if (this.#paused && !this.#ended) {
          this.#paused = false
          this.#resume()
        }
        if (chunk) {
          yield chunk
          giveBack(chunk)
          continue
        }
        if (this.#ended) return
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.destroy()
    }
  }
}
