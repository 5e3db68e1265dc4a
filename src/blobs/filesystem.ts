// Blobs and uploads as files, at registry:2's own paths (see layout.ts).
import fs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { BackgroundSync } from '#blobs/background-sync.ts'
import {
  closeFile,
  errorCode,
  isAbsent,
  makeFolder,
  openFile,
  readInto,
  removeFile,
  renameFile,
  statFile,
  storageFailure,
  syncData,
  syncFolder,
  truncateFile,
} from '#blobs/file-calls.ts'
import { openForReading, openReader } from '#blobs/file-reader.ts'
import { FilesystemAside } from '#blobs/filesystem-aside.ts'
import { FilesystemKeys } from '#blobs/filesystem-keys.ts'
import { FilesystemQuarantine } from '#blobs/filesystem-quarantine.ts'
import { batches, makeFolderDurably, removeIfEmpty, statIfFile } from '#blobs/folders.ts'
import { GatheringWriter } from '#blobs/gathering-writer.ts'
import {
  BLOBS_FOLDER,
  blobFolder,
  blobPath,
  isBlobFolder,
  isShard,
  isUploadId,
  REGISTRY_FOLDER,
  SHA256_FOLDER,
  shardFolder,
  shardOf,
  UPLOADS_FOLDER,
  uploadPath,
} from '#blobs/layout.ts'
import type { BlobReader, BlobStat, BlobStorage, Listing, Quarantining, UploadWriter } from '#blobs/store.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { type Digest, digestFrom } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

/** Small uploads that wait for their commit; of more than these the commit syncs again. */
const DURABLE_UPLOADS_MAX = 10_000

export interface FilesystemStorageOptions {
  /** The folder that registry:2 calls rootdirectory. */
  readonly root: string
  /** A new upload id each time, for files that are written before they get their name. */
  readonly temporaryId: () => string
}

/**
 * Opens the store, and makes its folders durably where they are missing.
 * @throws when root is not a folder that we can write, or its two trees lie on different file systems
 */
export async function openFilesystemStorage(options: FilesystemStorageOptions): Promise<FilesystemStorage> {
  const root = resolve(options.root)
  const registry = join(root, REGISTRY_FOLDER)
  const uploads = join(root, UPLOADS_FOLDER)
  await makeFolderDurably(registry)
  await makeFolderDurably(uploads)
  const [here, there] = await Promise.all([statFile(registry), statFile(uploads)])
  if (here.dev !== there.dev)
    throw new Error(
      `${registry} and ${uploads} must be on one file system: a commit renames from one to the other`,
    )
  return new FilesystemStorage(root, options.temporaryId)
}

export class FilesystemStorage implements BlobStorage, Listing, Quarantining {
  /** The link files of the same tree. */
  readonly keys: FilesystemKeys
  /** Blobs on their way to another tier. */
  readonly aside: FilesystemAside
  readonly #quarantine: FilesystemQuarantine
  readonly #root: string
  readonly #temporaryId: () => string
  /** Shards whose own name is known to be durable: at most 256. */
  readonly #durableShards = new Set<string>()
  readonly #backgroundSync = new BackgroundSync()
  /** One change of a blob at a time: a commit that fails takes the folder away that another may be about to use. */
  readonly #changing = new KeyedMutex<Digest>()
  /** Uploads whose bytes are durable already: small ones, between their last byte and their commit. */
  readonly #durableUploads = new Set<string>()

  /** Use openFilesystemStorage: it makes the folders. */
  constructor(root: string, temporaryId: () => string) {
    this.#root = root
    this.#temporaryId = temporaryId
    this.keys = new FilesystemKeys(root, temporaryId)
    this.#quarantine = new FilesystemQuarantine(root, this.#changing)
    this.aside = new FilesystemAside(root, this.#changing, {
      make: (digest) => this.#makeBlobFolder(this.#at(blobFolder(digest)), digest),
      sync: (digest) => this.#syncFolders(this.#at(blobFolder(digest)), shardOf(digest)),
    })
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const stat = await statIfFile(this.#at(blobPath(digest)))
    return stat && { size: stat.size, modifiedAt: stat.mtimeMs }
  }

  async open(digest: Digest): Promise<BlobReader | undefined> {
    return openReader(this.#at(blobPath(digest)))
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const file = await openForReading(this.#at(blobPath(digest)))
    if (!file) return undefined
    try {
      if (file.size > maxBytes) return undefined
      const bytes = Buffer.allocUnsafeSlow(file.size)
      const count = await readInto(file.fd, bytes, file.size, 0)
      if (count < file.size) throw new Error(`${digest} ends at ${count}, before ${file.size}`)
      return bytes
    } finally {
      await closeFile(file.fd, file.size)
    }
  }

  quarantine(digest: Digest, at: number): Promise<string | undefined> {
    return this.#quarantine.take(digest, at)
  }

  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    blobPath(digest)
    const id = this.#temporaryId()
    try {
      const writer = this.#create(id, false)
      try {
        await writer.write(bytes)
      } finally {
        await writer.close()
      }
      await this.commit(id, digest)
    } catch (error) {
      // What is in the way of removing the rest says less than what went wrong; the sweeper finds it.
      await this.discard(id).catch(() => {})
      throw error
    }
  }

  delete(digest: Digest): Promise<boolean> {
    return this.#changing.run(digest, () => this.#delete(digest))
  }

  async #delete(digest: Digest): Promise<boolean> {
    try {
      await removeFile(this.#at(blobPath(digest)))
    } catch (error) {
      if (isAbsent(error)) return false
      throw error
    }
    await removeIfEmpty(this.#at(blobFolder(digest)))
    return true
  }

  async size(id: string): Promise<number | undefined> {
    return (await statIfFile(this.#at(uploadPath(id))))?.size
  }

  async append(id: string, offset: number): Promise<UploadWriter> {
    this.#durableUploads.delete(id)
    if (offset === 0) return this.#create(id, true)
    const path = this.#at(uploadPath(id))
    const backgroundSync = this.#backgroundSync
    return new GatheringWriter({ path, offset, fd: await openAt(path, offset), backgroundSync })
  }

  #create(id: string, ownsChunks: boolean): UploadWriter {
    return new GatheringWriter({
      path: this.#at(uploadPath(id)),
      offset: 0,
      backgroundSync: this.#backgroundSync,
      ownsChunks,
      onDurable: () => {
        if (this.#durableUploads.size < DURABLE_UPLOADS_MAX) this.#durableUploads.add(id)
      },
    })
  }

  async openUpload(id: string): Promise<BlobReader | undefined> {
    return openReader(this.#at(uploadPath(id)))
  }

  /**
   * Bytes first, then the name: the data is durable before it can be seen as a blob, and the folders before we say so.
   * The folders are synced also where they were there already: who made them may have died before they were durable.
   */
  commit(id: string, digest: Digest): Promise<void> {
    return this.#changing.run(digest, () => this.#commit(id, digest))
  }

  async #commit(id: string, digest: Digest): Promise<void> {
    const upload = this.#at(uploadPath(id))
    const folder = this.#at(blobFolder(digest))
    const [synced, made] = await Promise.allSettled([
      this.#syncUpload(upload, id),
      this.#makeBlobFolder(folder, digest),
    ])
    const isNew = made.status === 'fulfilled' && made.value
    try {
      if (made.status === 'rejected') throw made.reason
      if (synced.status === 'rejected') {
        // The system may have dropped the pages and forgotten that it did: a second sync would lie. So they must be sent again.
        await this.discard(id)
        throw synced.reason
      }
      this.#durableUploads.delete(id)
      if (isNew) fs.renameSync(upload, `${folder}/data`)
      else await this.#moveIn(upload, folder, digest)
    } catch (error) {
      if (isNew) await removeIfEmpty(folder).catch(() => {})
      throw storageFailure(error)
    }
    await this.#syncFolders(folder, shardOf(digest))
  }

  /** Another process that failed to store the same blob, or deleted it, may have taken the empty folder away again. */
  async #moveIn(upload: string, folder: string, digest: Digest): Promise<void> {
    try {
      await renameFile(upload, `${folder}/data`)
    } catch (error) {
      if (!isAbsent(error)) throw error
      await this.#makeBlobFolder(folder, digest)
      await renameFile(upload, `${folder}/data`)
    }
  }

  async #syncUpload(path: string, id: string): Promise<void> {
    if (this.#durableUploads.has(id)) return
    const fd = openCommitted(path, id)
    try {
      await syncData(fd)
    } finally {
      fs.closeSync(fd)
    }
  }

  async discard(id: string): Promise<void> {
    this.#durableUploads.delete(id)
    try {
      await removeFile(this.#at(uploadPath(id)))
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }

  async *list(): AsyncGenerator<{ readonly id: string; readonly modifiedAt: number }> {
    const folder = this.#at(UPLOADS_FOLDER)
    for await (const names of batches(folder, isUploadId)) {
      const stats = await Promise.all(names.map((name) => statIfFile(`${folder}/${name}`)))
      for (const [index, id] of names.entries()) {
        const stat = stats[index]
        if (stat) yield { id, modifiedAt: stat.mtimeMs }
      }
    }
  }

  async *blobs(): AsyncGenerator<{
    readonly digest: Digest
    readonly size: number
    readonly modifiedAt: number
  }> {
    for await (const shards of batches(this.#at(SHA256_FOLDER), isShard)) {
      for (const shard of shards) yield* this.#blobsOf(shard)
    }
  }

  async *#blobsOf(shard: string) {
    const folder = this.#at(shardFolder(shard))
    for await (const names of batches(folder, (name) => isBlobFolder(name, shard))) {
      const stats = await Promise.all(names.map((name) => statIfFile(`${folder}/${name}/data`)))
      for (const [index, hex] of names.entries()) {
        const stat = stats[index]
        if (stat) yield { digest: digestFrom('sha256', hex), size: stat.size, modifiedAt: stat.mtimeMs }
      }
    }
  }

  /** True when the folder is new, so that nothing can be in it. */
  async #makeBlobFolder(folder: string, digest: Digest): Promise<boolean> {
    try {
      await makeFolder(folder)
      return true
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false
      if (errorCode(error) !== 'ENOENT') throw error
    }
    // Not only for the first blob of the shard: another program may have removed what we remember.
    this.#durableShards.delete(shardOf(digest))
    return (await makeFolder(folder, { recursive: true })) !== undefined
  }

  /** All at the same time: they wait for the same commit of the journal. */
  async #syncFolders(folder: string, shard: string): Promise<void> {
    const folders = [folder, dirname(folder)]
    if (!this.#durableShards.has(shard)) folders.push(this.#at(SHA256_FOLDER))
    if (this.#durableShards.size === 0) folders.push(this.#at(BLOBS_FOLDER), this.#at(REGISTRY_FOLDER))
    const results = await Promise.allSettled(folders.map(syncFolder))
    for (const result of results) if (result.status === 'rejected') throw storageFailure(result.reason)
    this.#durableShards.add(shard)
  }

  #at(path: string): string {
    return `${this.#root}/${path}`
  }
}

/** Opened synchronously: the bytes were written or hashed by this process a moment ago. */
function openCommitted(path: string, id: string): number {
  try {
    return fs.openSync(path, 'r')
  } catch (error) {
    if (isAbsent(error)) throw new OciError('BLOB_UPLOAD_UNKNOWN', { detail: { upload: id }, cause: error })
    throw error
  }
}

/** Opens an upload that has at least offset bytes, and drops what stands behind them. */
async function openAt(path: string, offset: number): Promise<number> {
  let fd: number
  try {
    fd = await openFile(path, 'r+')
  } catch (error) {
    if (isAbsent(error)) throw outOfOrder(offset, 0)
    throw error
  }
  try {
    const { size } = fs.fstatSync(fd)
    if (size < offset) throw outOfOrder(offset, size)
    if (size > offset) await truncateFile(fd, offset)
    return fd
  } catch (error) {
    fs.closeSync(fd)
    throw storageFailure(error)
  }
}

function outOfOrder(offset: number, present: number): OciError {
  return new OciError('UPLOAD_OUT_OF_ORDER', { detail: { offset, present } })
}
