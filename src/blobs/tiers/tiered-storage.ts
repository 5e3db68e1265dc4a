// A hot file system before a cold store, a bucket or a second folder. What is pushed lies hot; moving it is for the policy
// (maintenance/tiering). One copy is complete at every moment, whatever dies and whoever else works on the same digest:
//
//   down   the bytes are copied and hashed; the cold copy is durable; the hot one is set aside; the cold one is still there:
//          the hot one is dropped, or else put back
//   up     the bytes are copied and hashed; the cold copy stays, so that coming down again costs nothing
//
// So nothing but a deletion of the blob ever removes a cold copy. A hot one that a death left set aside is judged at the next open.
import type { FilesystemStorage } from '#blobs/filesystem.ts'
import { hasDigest } from '#blobs/has-digest.ts'
import {
  type BlobReader,
  type BlobStat,
  type BlobStorage,
  isQuarantining,
  isSweeping,
  type Listing,
  type Mending,
  type Quarantining,
  type Sweeping,
  type Tiering,
  type UploadWriter,
} from '#blobs/store.ts'
import { copyBlob } from '#blobs/tiers/copy-blob.ts'
import { Promotions } from '#blobs/tiers/promotions.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import type { Digest } from '#oci/digest.ts'

export interface TieredOptions {
  readonly hot: FilesystemStorage
  readonly cold: BlobStorage & Listing
  /** Whether a blob that is pulled comes up. */
  readonly promote: boolean
  readonly temporaryId: () => string
  /** Told when a blob could not be brought up; its pull was served all the same. */
  readonly onError: (digest: Digest, error: unknown) => void
}

type ListedBlob = { readonly digest: Digest; readonly size: number; readonly modifiedAt: number }

export async function openTieredStorage(options: TieredOptions): Promise<TieredStorage> {
  const storage = new TieredStorage(options)
  await storage.recover()
  return storage
}

export class TieredStorage implements BlobStorage, Listing, Mending, Quarantining, Sweeping, Tiering {
  readonly #hot: FilesystemStorage
  readonly #cold: BlobStorage & Listing
  readonly #temporaryId: () => string
  readonly #promotions: Promotions
  readonly #moving = new KeyedMutex<Digest>()

  /** Use openTieredStorage: it judges what a death left. */
  constructor({ hot, cold, promote, temporaryId, onError }: TieredOptions) {
    this.#hot = hot
    this.#cold = cold
    this.#temporaryId = temporaryId
    this.#promotions = new Promotions(promote, (digest) => this.promote(digest), onError)
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    return (await this.#hot.stat(digest)) ?? this.#cold.stat(digest)
  }

  async open(digest: Digest, partly?: boolean): Promise<BlobReader | undefined> {
    const hot = await this.#hot.open(digest)
    if (hot) return hot
    const cold = await this.#cold.open(digest, partly)
    if (cold) this.#promotions.add(digest)
    // It may have come up between the two looks.
    return cold ?? this.#hot.open(digest)
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const stat = await this.#hot.stat(digest)
    if (stat) return this.#hot.read(digest, maxBytes)
    const bytes = await this.#cold.read(digest, maxBytes)
    if (bytes) this.#promotions.add(digest)
    return bytes ?? this.#hot.read(digest, maxBytes)
  }

  put(digest: Digest, bytes: Uint8Array): Promise<void> {
    return this.#hot.put(digest, bytes)
  }

  /** Cold first: a death between leaves what a second call finds. */
  async delete(digest: Digest): Promise<boolean> {
    return this.#moving.run(digest, async () => {
      const cold = await this.#cold.delete(digest)
      return (await this.#hot.delete(digest)) || cold
    })
  }

  size(id: string): Promise<number | undefined> {
    return this.#hot.size(id)
  }

  append(id: string, offset: number): Promise<UploadWriter> {
    return this.#hot.append(id, offset)
  }

  openUpload(id: string): Promise<BlobReader | undefined> {
    return this.#hot.openUpload(id)
  }

  commit(id: string, digest: Digest): Promise<void> {
    return this.#hot.commit(id, digest)
  }

  async discard(id: string): Promise<void> {
    await this.#hot.discard(id)
    await this.#cold.discard(id)
  }

  async *list(): AsyncGenerator<{ readonly id: string; readonly modifiedAt: number }> {
    yield* this.#hot.list()
    yield* this.#cold.list()
  }

  async *blobs(): AsyncGenerator<ListedBlob> {
    yield* this.#hot.blobs()
    for await (const blob of this.#cold.blobs()) if (!(await this.#hot.stat(blob.digest))) yield blob
  }

  async sweep(before: number): Promise<number> {
    return isSweeping(this.#cold) ? this.#cold.sweep(before) : 0
  }

  hotBlobs(): AsyncIterable<ListedBlob> {
    return this.#hot.blobs()
  }

  coldBlobs(): AsyncIterable<ListedBlob> {
    return this.#cold.blobs()
  }

  /** A copy that has its digest takes the place of one that has not; a tier without a copy needs none. */
  mend(digest: Digest): Promise<boolean> {
    return this.#moving.run(digest, async () => {
      const [hot, cold] = [await hasDigest(this.#hot, digest), await hasDigest(this.#cold, digest)]
      if (hot === false && cold) return copyBlob(this.#cold, this.#hot, digest, this.#temporaryId())
      if (cold === false && hot) return copyBlob(this.#hot, this.#cold, digest, this.#temporaryId())
      return false
    })
  }

  quarantine(digest: Digest, at: number): Promise<string | undefined> {
    return this.#moving.run(digest, async () => {
      const cold = isQuarantining(this.#cold) ? await this.#cold.quarantine(digest, at) : undefined
      return (await this.#hot.quarantine(digest, at)) ?? cold
    })
  }

  demote(digest: Digest): Promise<boolean> {
    return this.#moving.run(digest, async () => {
      const stat = await this.#hot.stat(digest)
      if (!stat) return false
      // A copy that lay there for long is believed when it has been read: it may be the only one in a moment.
      if (!(await hasDigest(this.#cold, digest)))
        await copyBlob(this.#hot, this.#cold, digest, this.#temporaryId())
      await this.#hot.aside.take(digest)
      return this.#judge(digest)
    })
  }

  promote(digest: Digest): Promise<boolean> {
    return this.#moving.run(digest, async () => {
      if (await this.#hot.stat(digest)) return true
      return copyBlob(this.#cold, this.#hot, digest, this.#temporaryId())
    })
  }

  /** Decides about hot copies that were set aside when a process died. */
  async recover(): Promise<void> {
    for await (const digest of this.#hot.aside.list())
      await this.#moving.run(digest, () => this.#judge(digest))
  }

  /** Ends what is brought up in the background. */
  close(): Promise<void> {
    return this.#promotions.close()
  }

  /**
   * Drops the copy that was set aside if the cold one is there now, and puts it back otherwise: the blob may have been deleted
   * and pushed again since we looked, and who pushed it saw the hot one.
   */
  async #judge(digest: Digest): Promise<boolean> {
    const isCold = (await this.#cold.stat(digest)) !== undefined
    if (isCold) await this.#hot.aside.drop(digest)
    else await this.#hot.aside.putBack(digest)
    return isCold
  }
}
