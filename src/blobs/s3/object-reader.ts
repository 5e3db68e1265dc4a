// Reads an object, or a range of it. A connection that breaks or stands still is taken up again where it ended.
import { setTimeout as wait } from 'node:timers/promises'
import type { Bucket, ObjectStat } from '#blobs/s3/bucket.ts'
import { STALLED_MS } from '#blobs/s3/s3-client.ts'
import { isChanged, s3Failure } from '#blobs/s3/s3-failure.ts'
import type { Body } from '#blobs/s3/wire/reply-body.ts'
import type { BlobReader } from '#blobs/store.ts'

/** Breaks without a byte between them. */
const BREAKS_MAX = 3
const FIRST_PAUSE_MS = 100

export class ObjectReader implements BlobReader {
  readonly size: number
  readonly modifiedAt: number
  readonly #bucket: Bucket
  readonly #path: string
  readonly #etag: string
  /** The whole object, already on its way. */
  #opened: Body | undefined
  #reading: Body | undefined
  #closed = false

  constructor(bucket: Bucket, path: string, { size, modifiedAt, etag }: ObjectStat, opened?: Body) {
    this.#bucket = bucket
    this.#path = path
    this.size = size
    this.modifiedAt = modifiedAt
    this.#etag = etag
    this.#opened = opened
    // It may break while nobody reads: then its reader is told.
    opened?.on('error', () => {})
  }

  async *chunks(start = 0, end = this.size): AsyncGenerator<Uint8Array, void, undefined> {
    if (!(start >= 0 && start <= end && end <= this.size))
      throw new RangeError(`bytes ${start} to ${end} of ${this.size}`)
    let position = start
    for (let breaks = 0; position < end; breaks++) {
      try {
        for await (const chunk of this.#bytes(position, end)) {
          position += chunk.length
          breaks = 0
          yield chunk
        }
        if (position < end) throw new Error(`${this.#path} ends at ${position}, before ${end}`)
      } catch (error) {
        if (this.#closed) throw new Error('the blob reader is closed')
        if (breaks >= BREAKS_MAX || isChanged(error)) throw s3Failure(error, `reading ${this.#path}`)
        await wait(FIRST_PAUSE_MS * 2 ** breaks)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#opened?.destroy()
    this.#reading?.destroy()
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Uint8Array> {
    const isWhole = start === 0 && this.#opened !== undefined
    const body = isWhole ? this.#takeOpened() : await this.#get(start, end)
    if (this.#closed) body.destroy()
    this.#reading = body
    let left = end - start
    for await (const chunk of unlessStalled(body)) {
      if (this.#closed) throw new Error('the blob reader is closed')
      if (chunk.length > left) {
        yield chunk.subarray(0, left)
        return
      }
      left -= chunk.length
      yield chunk
      // To the end of the answer where it is near, so that the connection can be used again.
      if (left === 0 && end < this.size && isWhole) return
    }
  }

  #takeOpened(): Body {
    const opened = this.#opened
    this.#opened = undefined
    if (!opened) throw new Error('the object is not open')
    return opened
  }

  async #get(start: number, end: number): Promise<Body> {
    this.#opened?.destroy()
    this.#opened = undefined
    if (this.#closed) throw new Error('the blob reader is closed')
    const object = await this.#bucket.get(this.#path, { range: { start, end }, etag: this.#etag })
    if (!object) throw new Error(`${this.#path} is gone`)
    return object.body
  }
}

/** The chunks of an answer; breaks it when it gives none for too long while we wait. How long we take does not count. */
async function* unlessStalled(body: Body): AsyncGenerator<Uint8Array> {
  let waited = 0
  const timer = setInterval(() => {
    waited += 1
    if (waited > 2) body.destroy(new Error(`no bytes came for ${STALLED_MS} ms`))
  }, STALLED_MS / 2)
  try {
    for await (const chunk of body) {
      waited = Number.NEGATIVE_INFINITY
      yield chunk
      waited = 0
    }
  } finally {
    clearInterval(timer)
  }
}
