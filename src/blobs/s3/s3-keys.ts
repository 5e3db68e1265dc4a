// Link files as small objects. A folder is what the paths say: it is there as long as something is in it.
import { checkKeyPath, KEY_BYTES_MAX, keyBytes } from '#blobs/key-path.ts'
import type { Batching, Durable, KeyChange, KeyEntry, KeyStore, Linked, Scanning } from '#blobs/keys.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { wavesOf } from '#blobs/s3/change-waves.ts'
import { collect } from '#blobs/s3/collect.ts'
import { ObjectReader } from '#blobs/s3/object-reader.ts'
import { inTurns } from '#lib/in-turns.ts'
import { Mutex } from '#lib/mutex.ts'
import { digestOf, encodedOf } from '#oci/digest.ts'

const CHANGES_AT_ONCE = 16
/** Paths that one removal of a folder gathers before it deletes them. */
const REMOVED_AT_ONCE = 1_000

export class S3Keys implements KeyStore, Batching, Durable, Linked, Scanning {
  readonly #bucket: Bucket
  readonly #turns = new Mutex()

  constructor(bucket: Bucket) {
    this.#bucket = bucket
  }

  async get(path: string): Promise<string | undefined> {
    const object = await this.#bucket.get(checkKeyPath(path))
    if (!object) return undefined
    const reader = new ObjectReader(this.#bucket, path, object, object.body)
    try {
      return (await collect(reader, 0, Math.min(object.size, KEY_BYTES_MAX))).toString('utf8')
    } finally {
      await reader.close()
    }
  }

  async put(path: string, text: string): Promise<void> {
    const bytes = keyBytes(text)
    await this.#bucket.putHashed(checkKeyPath(path), bytes, encodedOf(digestOf(bytes)))
  }

  async remove(path: string): Promise<void> {
    let below: string[] = [checkKeyPath(path)]
    for await (const object of this.#bucket.list(`${path}/`)) {
      below.push(object.path)
      if (below.length < REMOVED_AT_ONCE) continue
      await this.#bucket.deleteAll(below)
      below = []
    }
    await this.#bucket.deleteAll(below)
  }

  apply(changes: readonly KeyChange[]): Promise<void> {
    for (const { path } of changes) checkKeyPath(path)
    return this.#turns.run(async () => {
      for (const wave of wavesOf(changes))
        await inTurns(wave, CHANGES_AT_ONCE, ({ path, text }) =>
          text === undefined ? this.remove(path) : this.put(path, text),
        )
    })
  }

  /** What S3 has acknowledged is durable. */
  async sync(path: string): Promise<void> {
    if (!(await this.#bucket.head(checkKeyPath(path))))
      throw new Error(`there is nothing to make durable: ${path}`)
  }

  async close(): Promise<void> {
    await this.#turns.run(async () => {})
  }

  async *list(path: string): AsyncGenerator<KeyEntry> {
    yield* this.#bucket.children(`${checkKeyPath(path)}/`)
  }

  async modifiedAt(path: string): Promise<number | undefined> {
    return (await this.#bucket.head(checkKeyPath(path)))?.modifiedAt
  }

  /** There are no symbolic links here. */
  async real(path: string): Promise<string | undefined> {
    for await (const _ of this.#bucket.children(`${checkKeyPath(path)}/`)) return path
    return undefined
  }

  scan(folder: string): AsyncIterable<{ readonly path: string; readonly size: number }> {
    return this.#bucket.list(`${checkKeyPath(folder)}/`)
  }
}
