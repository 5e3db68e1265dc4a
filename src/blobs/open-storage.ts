// Opens the store that a configuration names. Nobody above this room need know which it is.
import { openFilesystemStorage } from '#blobs/filesystem.ts'
import type { Batching, Durable, KeyStore, Linked } from '#blobs/keys.ts'
import { MemoryStorage } from '#blobs/memory.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import { type BlobStorage, isListing } from '#blobs/store.ts'
import type { Digest } from '#oci/digest.ts'

interface FolderOptions {
  readonly kind: 'filesystem'
  readonly root: string
}

/** What may stand behind a folder. */
export type TierStorage = FolderOptions | { readonly kind: 's3'; readonly s3: S3Options }

export type StorageOptions =
  | TierStorage
  | {
      readonly kind: 'tiers'
      readonly hot: FolderOptions
      readonly cold: TierStorage
      /** Whether a blob that is pulled comes up. */
      readonly promote: boolean
    }
  /** Nothing is kept when it is closed. */
  | { readonly kind: 'memory'; readonly bytesMax: number }

export interface OpenStorage {
  readonly storage: BlobStorage
  /** The link files beside the blobs; undefined where nothing else could read them. */
  readonly keys: (KeyStore & Batching & Durable & Linked) | undefined
  close(): Promise<void> | void
}

interface Surroundings {
  readonly temporaryId: () => string
  readonly now: () => number
  /** Told of what fails behind the requests. */
  readonly onError: (digest: Digest, error: unknown) => void
}

/** @throws Error with a sentence for the operator */
export async function openStorage(options: StorageOptions, surroundings: Surroundings): Promise<OpenStorage> {
  const { temporaryId, now } = surroundings
  const close = () => {}
  switch (options.kind) {
    case 'filesystem': {
      const storage = await openFilesystemStorage({ root: options.root, temporaryId })
      return { storage, keys: storage.keys, close }
    }
    case 's3': {
      // Loaded only here: a server without a bucket does not pay for the SDK.
      const { openS3Storage } = await import('#blobs/s3/open-s3.ts')
      const { storage, close } = await openS3Storage(options.s3)
      return { storage, keys: storage.keys, close }
    }
    case 'tiers':
      return openTiers(options, surroundings)
    case 'memory':
      return {
        storage: new MemoryStorage({ bytesMax: options.bytesMax, now }),
        keys: undefined,
        close,
      }
  }
}

/** The link files lie hot; another program that reads them finds the hot blobs only. */
async function openTiers(
  { hot, cold, promote }: Extract<StorageOptions, { kind: 'tiers' }>,
  surroundings: Surroundings,
): Promise<OpenStorage> {
  const { openTieredStorage } = await import('#blobs/tiers/tiered-storage.ts')
  const { temporaryId, onError } = surroundings
  const folder = await openFilesystemStorage({ root: hot.root, temporaryId })
  const behind = await openStorage(cold, surroundings)
  if (!isListing(behind.storage)) throw new Error('a cold store must be able to list what it holds')
  const tiers = { hot: folder, cold: behind.storage, promote, temporaryId, onError }
  const storage = await openTieredStorage(tiers)
  const close = async () => {
    await storage.close()
    await behind.close()
  }
  return { storage, keys: folder.keys, close }
}
