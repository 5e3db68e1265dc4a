// Blobs and uploads as objects of a bucket, at registry:2's own keys (see layout.ts). What is acknowledged is durable: S3 answers
// when it has the bytes.
import { hasDigest } from '#blobs/has-digest.ts'
import { blobPath, isBlobFolder, isShard, quarantinePath, SHA256_FOLDER } from '#blobs/layout.ts'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { collect } from '#blobs/s3/collect.ts'
import { ObjectReader } from '#blobs/s3/object-reader.ts'
import { S3Keys } from '#blobs/s3/s3-keys.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import { S3Uploads } from '#blobs/s3/s3-uploads.ts'
import type {
  BlobReader,
  BlobStat,
  BlobStorage,
  Listing,
  Quarantining,
  Redirecting,
  Sweeping,
  UploadWriter,
} from '#blobs/store.ts'
import { type Digest, digestFrom, encodedOf } from '#oci/digest.ts'

/** Signs an address of a path for so many seconds. */
export type SignAddress = (path: string, expiresInSec: number) => Promise<URL>

/** What the service copies in one request. */
const COPY_BYTES_MAX = 5 * 1024 ** 3

export class S3Storage implements BlobStorage, Listing, Quarantining, Redirecting, Sweeping {
  /** The link files of the same tree. */
  readonly keys: S3Keys
  readonly #bucket: Bucket
  readonly #uploads: S3Uploads
  readonly #sign: SignAddress

  /** Use openS3Storage: it sees whether the bucket is there. */
  constructor(bucket: Bucket, options: S3Options, sign: SignAddress) {
    this.#bucket = bucket
    this.#uploads = new S3Uploads(bucket, options)
    this.#sign = sign
    this.keys = new S3Keys(bucket)
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    return this.#bucket.head(blobPath(digest))
  }

  async open(digest: Digest, partly = false): Promise<BlobReader | undefined> {
    const path = blobPath(digest)
    if (partly) {
      const stat = await this.#bucket.head(path)
      return stat && new ObjectReader(this.#bucket, path, stat)
    }
    const object = await this.#bucket.get(path)
    return object && new ObjectReader(this.#bucket, path, object, object.body)
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const object = await this.#bucket.get(blobPath(digest))
    if (!object) return undefined
    const reader = new ObjectReader(this.#bucket, blobPath(digest), object, object.body)
    if (object.size <= maxBytes) return collect(reader)
    await reader.close()
    return undefined
  }

  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#bucket.putHashed(blobPath(digest), bytes, encodedOf(digest))
  }

  async delete(digest: Digest): Promise<boolean> {
    // S3 does not say whether there was anything.
    const stat = await this.#bucket.head(blobPath(digest))
    if (stat) await this.#bucket.delete(blobPath(digest))
    return stat !== undefined
  }

  /**
   * A copy: a push may replace the object at any moment, and no delete could tell that from what was hashed. What nothing needs is
   * collected as garbage, and a push of the same content replaces it.
   */
  async quarantine(digest: Digest, at: number): Promise<string | undefined> {
    const [path, aside] = [blobPath(digest), quarantinePath(digest, at)]
    const stat = await this.#bucket.head(path)
    if (!stat || stat.size > COPY_BYTES_MAX || (await hasDigest(this, digest)) !== false) return undefined
    await this.#bucket.copy(path, stat.etag, aside)
    return aside
  }

  async *blobs(): AsyncGenerator<{
    readonly digest: Digest
    readonly size: number
    readonly modifiedAt: number
  }> {
    for await (const { path, size, modifiedAt } of this.#bucket.list(`${SHA256_FOLDER}/`)) {
      const [shard = '', hex = '', name, ...rest] = path.slice(SHA256_FOLDER.length + 1).split('/')
      if (name !== 'data' || rest.length > 0 || !isShard(shard) || !isBlobFolder(hex, shard)) continue
      yield { digest: digestFrom('sha256', hex), size, modifiedAt }
    }
  }

  urlFor(digest: Digest, expiresInSec: number): Promise<URL> {
    return this.#sign(blobPath(digest), expiresInSec)
  }

  size(id: string): Promise<number | undefined> {
    return this.#uploads.size(id)
  }

  append(id: string, offset: number, expected?: Digest): Promise<UploadWriter> {
    return this.#uploads.append(id, offset, expected)
  }

  openUpload(id: string): Promise<BlobReader | undefined> {
    return this.#uploads.openUpload(id)
  }

  commit(id: string, digest: Digest): Promise<void> {
    return this.#uploads.commit(id, digest)
  }

  discard(id: string): Promise<void> {
    return this.#uploads.discard(id)
  }

  list(): AsyncIterable<{ readonly id: string; readonly modifiedAt: number }> {
    return this.#uploads.list()
  }

  sweep(before: number): Promise<number> {
    return this.#uploads.sweep(before)
  }
}
