// Blobs and uploads in memory, within a limit: for tests, and for a registry that may forget.
import { blobPath, uploadPath } from '#blobs/layout.ts'
import { MemoryBudget } from '#blobs/memory-budget.ts'
import { MemoryKeys } from '#blobs/memory-keys.ts'
import type { BlobReader, BlobStat, BlobStorage, Listing, UploadWriter } from '#blobs/store.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

export interface MemoryStorageOptions {
  /** Blobs, uploads and keys together; what exceeds it is refused with STORAGE_FULL. */
  readonly bytesMax: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Bytes as they came: chunks are kept, never copied together. */
interface Content {
  readonly chunks: readonly Uint8Array[]
  readonly size: number
  readonly modifiedAt: number
}

export class MemoryStorage implements BlobStorage, Listing {
  /** The link files of the same store. */
  readonly keys: MemoryKeys
  readonly #now: () => number
  readonly #budget: MemoryBudget
  readonly #blobs = new Map<Digest, Content>()
  readonly #uploads = new Map<string, Content>()

  constructor(options: MemoryStorageOptions) {
    this.#now = options.now
    this.#budget = new MemoryBudget(options.bytesMax)
    this.keys = new MemoryKeys(this.#budget, options.now)
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const content = this.#blob(digest)
    return content && { size: content.size, modifiedAt: content.modifiedAt }
  }

  async open(digest: Digest): Promise<BlobReader | undefined> {
    const content = this.#blob(digest)
    return content && new MemoryReader(content)
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const content = this.#blob(digest)
    return content && content.size <= maxBytes ? Buffer.concat(content.chunks) : undefined
  }

  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    blobPath(digest)
    this.#budget.take(bytes.length)
    this.#keep(digest, { chunks: [Buffer.from(bytes)], size: bytes.length, modifiedAt: this.#now() })
  }

  async delete(digest: Digest): Promise<boolean> {
    const content = this.#blob(digest)
    if (!content) return false
    this.#budget.give(content.size)
    return this.#blobs.delete(digest)
  }

  async size(id: string): Promise<number | undefined> {
    return this.#upload(id)?.size
  }

  async append(id: string, offset: number): Promise<UploadWriter> {
    const before = this.#upload(id)
    const present = before?.size ?? 0
    if (present < offset) throw new OciError('UPLOAD_OUT_OF_ORDER', { detail: { offset, present } })
    this.#budget.give(present - offset)
    const chunks = [...piecesOf(before?.chunks ?? [], 0, offset)]
    this.#uploads.set(id, { chunks, size: offset, modifiedAt: this.#now() })
    return new MemoryWriter(offset, (chunk) => {
      const upload = this.#uploads.get(id)
      if (upload?.chunks !== chunks) throw new Error('the upload ended or has another writer')
      this.#budget.take(chunk.length)
      chunks.push(chunk)
      this.#uploads.set(id, { chunks, size: upload.size + chunk.length, modifiedAt: this.#now() })
    })
  }

  async openUpload(id: string): Promise<BlobReader | undefined> {
    const content = this.#upload(id)
    return content && new MemoryReader(content)
  }

  async commit(id: string, digest: Digest): Promise<void> {
    blobPath(digest)
    const content = this.#upload(id)
    if (!content) throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id } })
    this.#uploads.delete(id)
    this.#keep(digest, content)
  }

  async discard(id: string): Promise<void> {
    const content = this.#upload(id)
    if (!content) return
    this.#uploads.delete(id)
    this.#budget.give(content.size)
  }

  async *list(): AsyncGenerator<{ readonly id: string; readonly modifiedAt: number }> {
    for (const [id, { modifiedAt }] of this.#uploads) yield { id, modifiedAt }
  }

  async *blobs(): AsyncGenerator<{
    readonly digest: Digest
    readonly size: number
    readonly modifiedAt: number
  }> {
    for (const [digest, { size, modifiedAt }] of this.#blobs) yield { digest, size, modifiedAt }
  }

  #blob(digest: Digest): Content | undefined {
    blobPath(digest)
    return this.#blobs.get(digest)
  }

  #upload(id: string): Content | undefined {
    uploadPath(id)
    return this.#uploads.get(id)
  }

  /** The budget has the bytes already. */
  #keep(digest: Digest, content: Content): void {
    this.#budget.give(this.#blobs.get(digest)?.size ?? 0)
    this.#blobs.set(digest, content)
  }
}

class MemoryWriter implements UploadWriter {
  #offset: number
  readonly #add: (chunk: Uint8Array) => void
  #failure: { readonly error: unknown } | undefined
  #closed = false

  constructor(offset: number, add: (chunk: Uint8Array) => void) {
    this.#offset = offset
    this.#add = add
  }

  get offset(): number {
    return this.#offset
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure) return Promise.reject(this.#failure.error)
    if (this.#closed) return Promise.reject(new Error('the upload writer is closed'))
    try {
      this.#add(chunk)
    } catch (error) {
      this.#failure = { error }
      return Promise.reject(error)
    }
    this.#offset += chunk.length
    return undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#failure) throw this.#failure.error
  }
}

class MemoryReader implements BlobReader {
  readonly size: number
  readonly modifiedAt: number
  readonly #chunks: readonly Uint8Array[]
  #closed = false

  constructor(content: Content) {
    this.size = content.size
    this.modifiedAt = content.modifiedAt
    this.#chunks = content.chunks
  }

  async *chunks(start = 0, end = this.size): AsyncGenerator<Uint8Array, void, undefined> {
    if (!(start >= 0 && start <= end && end <= this.size))
      throw new RangeError(`bytes ${start} to ${end} of ${this.size}`)
    for (const piece of piecesOf(this.#chunks, start, end)) {
      if (this.#closed) throw new Error('the blob reader is closed')
      yield piece
    }
  }

  async close(): Promise<void> {
    this.#closed = true
  }
}

/** The chunks from start to end, those at the borders cut. */
function* piecesOf(chunks: readonly Uint8Array[], start: number, end: number): Generator<Uint8Array> {
  let position = 0
  for (const chunk of chunks) {
    if (position >= end) return
    const from = Math.max(start - position, 0)
    const to = Math.min(end - position, chunk.length)
    if (from < to) yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to)
    position += chunk.length
  }
}
